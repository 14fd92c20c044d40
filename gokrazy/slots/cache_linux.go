package slots

import "golang.org/x/sys/unix"

// dropCache lets the kernel forget what it has of a file that is synced.
func dropCache(fd uintptr) error { return unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED) }
