package poller

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What follows is the driver's interface: that of \Device\Afd, which Winsock itself
// is built on. It is not documented; wepoll, libuv and Rust's mio and polling rest
// on the same calls and numbers.

const ioctlAfdPoll = 0x00012024

// Conditions of a poll. One that holds already completes the poll at once.
const (
	afdReceive     = 0x0001 // bytes or a datagram
	afdSend        = 0x0004 // room to send, and connected
	afdDisconnect  = 0x0008 // the peer has finished sending
	afdAbort       = 0x0010 // the connection has broken
	afdLocalClose  = 0x0020 // the last handle of the socket was closed
	afdAccept      = 0x0080 // a connection to accept
	afdConnectFail = 0x0100 // connect has failed
)

// afdPollInfo is what a poll takes and, with the conditions that were found, gives
// back: AFD_POLL_INFO with one handle.
type afdPollInfo struct {
	timeout   int64 // in units of 100 ns; negative is from now on
	handles   uint32
	exclusive uint32
	handle    windows.Handle
	events    uint32
	status    windows.NTStatus
}

// completion is OVERLAPPED_ENTRY, with numbers where Windows has pointers: they are
// ours to choose.
type completion struct {
	key      uintptr
	context  uintptr
	internal uintptr
	bytes    uint32
}

var (
	ntdll    = windows.NewLazySystemDLL("ntdll.dll")
	kernel32 = windows.NewLazySystemDLL("kernel32.dll")

	procDeviceIoControl = ntdll.NewProc("NtDeviceIoControlFile")
	procCancelIo        = ntdll.NewProc("NtCancelIoFileEx")
	procCompletions     = kernel32.NewProc("GetQueuedCompletionStatusEx")
)

// openAfd returns a handle of the driver, whose requests complete through port.
func openAfd(port windows.Handle) (windows.Handle, error) {
	name, err := windows.NewNTUnicodeString(`\Device\Afd\Eddy`)
	if err != nil {
		return 0, err
	}
	attributes := windows.OBJECT_ATTRIBUTES{ObjectName: name} // not inherited
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	var file windows.Handle
	var status windows.IO_STATUS_BLOCK
	err = windows.NtCreateFile(&file, windows.SYNCHRONIZE, &attributes, &status, nil, 0,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, windows.FILE_OPEN, 0, 0, 0)
	if err != nil {
		return 0, os.NewSyscallError("NtCreateFile", errnoOf(err))
	}
	if _, err = windows.CreateIoCompletionPort(file, port, keyPoll, 0); err != nil {
		windows.CloseHandle(file)
		return 0, os.NewSyscallError("CreateIoCompletionPort", err)
	}
	return file, nil
}

// errnoOf turns a status into the error that the documented calls have for it.
func errnoOf(err error) error {
	var status windows.NTStatus
	if errors.As(err, &status) {
		return status.Errno()
	}
	return err
}

// poll hands a request over. The kernel writes to it until its completion has
// been taken from the port.
func (r *afdRequest) poll(events uint32) error {
	r.status = windows.IO_STATUS_BLOCK{Status: windows.STATUS_PENDING}
	r.info = afdPollInfo{timeout: 1<<63 - 1, handles: 1, handle: r.socket, events: events}
	status, _, _ := syscall.SyscallN(procDeviceIoControl.Addr(), uintptr(r.group.file), 0, 0, r.context,
		uintptr(unsafe.Pointer(&r.status)), ioctlAfdPoll,
		uintptr(unsafe.Pointer(&r.info)), unsafe.Sizeof(r.info),
		uintptr(unsafe.Pointer(&r.info)), unsafe.Sizeof(r.info))
	switch s := windows.NTStatus(status); s {
	case 0, windows.STATUS_PENDING: // both send a completion
		return nil
	default:
		return s
	}
}

// cancel asks for the request back. It comes through the port, with or without
// events. One that has completed already isn't found, which is as well.
func (r *afdRequest) cancel() {
	var status windows.IO_STATUS_BLOCK
	syscall.SyscallN(procCancelIo.Addr(), uintptr(r.group.file),
		uintptr(unsafe.Pointer(&r.status)), uintptr(unsafe.Pointer(&status)))
}

// outcome is what a poll that has come back found. One that has failed would fail again,
// at once, if nobody were told: it counts as a broken connection, and reading tells what
// there is to that.
func (r *afdRequest) outcome() uint32 {
	switch status := r.status.Status; {
	case status == windows.STATUS_CANCELLED:
		return 0
	case int32(status) < 0: // as NT_SUCCESS has it
		return afdAbort
	case r.info.handles == 0:
		return 0
	}
	return r.info.events
}

// completions fills list from the port's queue.
func completions(port windows.Handle, list []completion, timeout time.Duration) (int, error) {
	wait := uint32(windows.INFINITE)
	if timeout >= 0 {
		wait = uint32(millis(timeout))
	}
	var n uint32
	ok, _, errno := syscall.SyscallN(procCompletions.Addr(), uintptr(port),
		uintptr(unsafe.Pointer(unsafe.SliceData(list))), uintptr(len(list)),
		uintptr(unsafe.Pointer(&n)), uintptr(wait), 0)
	switch {
	case ok != 0:
		return int(n), nil
	case errno == windows.WAIT_TIMEOUT:
		return 0, nil
	}
	return 0, os.NewSyscallError("GetQueuedCompletionStatusEx", errno)
}

// soType is SO_TYPE.
const soType = 0x1008

// Controls that tell the driver's own handle of a socket, where a layered provider
// (antivirus, parental control) has put one of its own before it.
const (
	sioBaseHandle = 0x48000022
	sioBSPPoll    = 0x4800001d
)

// baseSocket returns the driver's handle of a socket. Layers must pass
// SIO_BASE_HANDLE through, but some do not; SIO_BSP_HANDLE_POLL then gets below
// one of them.
func baseSocket(fd windows.Handle) (windows.Handle, error) {
	for {
		base, err := controlHandle(fd, sioBaseHandle)
		if err == nil {
			return base, nil
		}
		next, e := controlHandle(fd, sioBSPPoll)
		if e != nil || next == fd {
			return 0, err
		}
		fd = next
	}
}

func controlHandle(fd windows.Handle, code uint32) (found windows.Handle, err error) {
	var n uint32
	err = windows.WSAIoctl(fd, code, nil, 0, (*byte)(unsafe.Pointer(&found)),
		uint32(unsafe.Sizeof(found)), &n, nil, 0)
	return found, err
}

// socketOf returns what the driver calls the socket fd: EBADF if fd is no handle at
// all, ErrNotPollable if it is one of something else.
func socketOf(fd windows.Handle) (windows.Handle, error) {
	// The type is asked for because wine has a base handle for whatever it is given.
	if _, err := windows.GetsockoptInt(fd, windows.SOL_SOCKET, soType); err == nil {
		base, err := baseSocket(fd)
		return base, os.NewSyscallError("SIO_BASE_HANDLE", err)
	}
	if kind, err := windows.GetFileType(fd); err != nil || kind == windows.FILE_TYPE_UNKNOWN {
		return 0, os.NewSyscallError("getsockopt", syscall.EBADF)
	}
	return 0, ErrNotPollable
}
