//go:build amd64 || arm64

package confine

import "golang.org/x/sys/unix"

// group is a number of system calls that are needed for one reason.
type group struct {
	why   string
	calls []uint32
}

// allowed are the system calls that a TSES makes, found by tracing all that it
// does (the tests of its doors, drivers, state and updates under strace -f), with
// what Go's runtime, the C library of a build with cgo and the race detector can
// be expected to ask for beyond. Those of [filtered] are not among them: their
// arguments are looked at.
var allowed = []group{
	{"memory: Go's heap and stacks, malloc of a cgo build. Of mmap and mprotect see filtered", []uint32{
		unix.SYS_BRK, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MADVISE}},
	{"threads: how Go's scheduler and a C library start, stop, wake and end them", []uint32{
		unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SET_ROBUST_LIST, unix.SYS_GET_ROBUST_LIST,
		unix.SYS_SET_TID_ADDRESS, unix.SYS_RSEQ, unix.SYS_MEMBARRIER, unix.SYS_GETTID, unix.SYS_EXIT, unix.SYS_EXIT_GROUP}},
	{"signals: SIGTERM ends a TSES in good order, SIGURG preempts goroutines, a crash tells its stacks and ends by SIGABRT; " +
		"Landlock and the user keep them to this process", []uint32{
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGSUSPEND, unix.SYS_RT_SIGTIMEDWAIT,
		unix.SYS_SIGALTSTACK, unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_TGKILL, unix.SYS_RESTART_SYSCALL}},
	{"time: sleeping, and the clock where the vDSO has none", []uint32{
		unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_GETTIMEOFDAY,
		unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE, unix.SYS_SETITIMER}},
	{"random numbers: every key, nonce and serial number", []uint32{unix.SYS_GETRANDOM}},
	{"waiting for many files: Go's network poller, and the answers of pcscd", []uint32{
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_PPOLL, unix.SYS_PSELECT6}},
	{"open files: state, configuration, devices, the log, the heartbeat", []uint32{
		unix.SYS_OPENAT, unix.SYS_CLOSE, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64,
		unix.SYS_LSEEK, unix.SYS_FSTAT, unix.SYS_STATX, unix.SYS_FCNTL, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_FLOCK,
		unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FTRUNCATE, unix.SYS_FADVISE64}},
	{"names of files: state is written beside the old one and renamed; sysfs is read for what is wired. " +
		"Landlock says which", []uint32{
		unix.SYS_GETDENTS64, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_READLINKAT, unix.SYS_GETCWD, unix.SYS_MKDIRAT,
		unix.SYS_UNLINKAT, unix.SYS_LINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_FSTATFS, unix.SYS_STATFS, unix.SYS_UMASK}},
	{"sockets: the one listener, the way to itself, pcscd's. Of socket and the calls that send see filtered", []uint32{
		unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_CONNECT, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKNAME,
		unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT, unix.SYS_RECVFROM, unix.SYS_RECVMSG}},
	{"who and where one is: owners of files are compared with the user, the certificate names the host, " +
		"shares are of the machine's memory", []uint32{
		unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_UNAME,
		unix.SYS_SYSINFO, unix.SYS_GETRUSAGE, unix.SYS_GETRLIMIT, unix.SYS_GETCPU}},
	{"to give up more: a filter can be made narrower and never wider", []uint32{unix.SYS_SECCOMP}},
}

// unknown are calls that a caller tries before an older one that does as well, or
// whose arguments cannot be seen: they are not there. With EPERM the caller would
// give up instead of going back.
var unknown = []uint32{
	unix.SYS_CLONE3, // back to clone
	unix.SYS_OPENAT2, unix.SYS_CLOSE_RANGE, unix.SYS_EPOLL_PWAIT2, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_FUTEX_WAITV, unix.SYS_FUTEX_WAKE, unix.SYS_FUTEX_WAIT, unix.SYS_FUTEX_REQUEUE, unix.SYS_FCHMODAT2,
	unix.SYS_COPY_FILE_RANGE, unix.SYS_SPLICE, unix.SYS_SENDFILE, unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_MSEAL,
	unix.SYS_MAP_SHADOW_STACK, unix.SYS_IO_URING_SETUP,
}

// lastKnown is the number of the newest system call that was there when the lists
// were made. What comes later is not there for this process, so that a program that
// knows it goes back to what it did before.
const lastKnown = unix.SYS_RSEQ_SLICE_YIELD
