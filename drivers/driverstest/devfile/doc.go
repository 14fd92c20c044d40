// Package devfile puts simulated buses behind /dev/i2c-N and /dev/spidevN.M, so
// that programs meet them through the kernel's own interface: open, and the
// ioctls of i2c-dev and spidev with their structures.
//
// A device file is a regular file of a FUSE file system whose root is that
// file. The kernel hands an ioctl on it to this package with its number, the
// caller's thread and the address of its argument; what lies behind that
// address is read and written with process_vm_readv and process_vm_writev. It
// needs root and /dev/fuse, and is meant for a mount namespace of its own; see
// [Private].
package devfile
