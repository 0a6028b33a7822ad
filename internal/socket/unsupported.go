//go:build !unix

package socket

import (
	"errors"
	"net"
	"os"
)

// Where there is no backend, nothing makes a socket: these report that, and the
// others are never reached.

func Listen(net.Addr, int) (int, error) { return -1, errors.ErrUnsupported }

func Connect(net.Addr) (fd int, done bool, err error) { return -1, false, errors.ErrUnsupported }

func Adopt(int) error                       { return errors.ErrUnsupported }
func Duplicate(int) (int, error)            { return -1, errors.ErrUnsupported }
func Accept(int) (int, error)               { return -1, errors.ErrUnsupported }
func Connected(int) error                   { return errors.ErrUnsupported }
func Read(int, []byte) (int, error)         { return 0, errors.ErrUnsupported }
func SendVector(int, [][]byte) (int, error) { return 0, errors.ErrUnsupported }
func Peek(int) (int, error)                 { return 0, errors.ErrUnsupported }
func CloseWrite(int) error                  { return errors.ErrUnsupported }
func SetNoDelay(int, bool) error            { return errors.ErrUnsupported }
func Close(int) error                       { return errors.ErrUnsupported }
func InProgress(error) bool                 { return false }
func WouldBlock(error) bool                 { return false }
func ConnectionLost(error) bool             { return false }
func Attempt([][]byte) int                  { return 0 }
func LocalAddr(int) net.Addr                { return nil }
func PeerAddr(int) net.Addr                 { return nil }
func File(net.Addr) os.FileInfo             { return nil }
func RemoveFile(net.Addr, os.FileInfo)      {}
