//go:build !unix && !windows

package socket

import (
	"errors"
	"net"
	"os"
	"time"
)

// Where there is no backend, nothing makes a socket: these report that, and the
// others are never reached.

func Listen(net.Addr, int, func(int) error) (int, error) { return -1, errors.ErrUnsupported }

func Adopt(int) error                              { return errors.ErrUnsupported }
func Vacate(int) (bool, error)                     { return true, errors.ErrUnsupported }
func Duplicate(int) (int, error)                   { return -1, errors.ErrUnsupported }
func Accept(int) (int, Address, error)             { return -1, Address{}, errors.ErrUnsupported }
func AcceptShared(int) (int, Address, error)       { return -1, Address{}, errors.ErrUnsupported }
func Connected(int) error                          { return errors.ErrUnsupported }
func Read(int, []byte) (int, error)                { return 0, errors.ErrUnsupported }
func Send(int, []byte) (int, error)                { return 0, errors.ErrUnsupported }
func SendVector(int, [][]byte) (int, error)        { return 0, errors.ErrUnsupported }
func Peek(int) (int, error)                        { return 0, errors.ErrUnsupported }
func ResetOnClose(int)                             {}
func CloseWrite(int) error                         { return errors.ErrUnsupported }
func TakeError(int) error                          { return errors.ErrUnsupported }
func SetNoDelay(int, bool) error                   { return errors.ErrUnsupported }
func Close(int) error                              { return errors.ErrUnsupported }
func ClosePromptly(int) error                      { return errors.ErrUnsupported }
func InProgress(error) bool                        { return false }
func WouldBlock(error) bool                        { return false }
func ConnectionLost(error) bool                    { return false }
func LocalAddr(int) net.Addr                       { return nil }
func PeerAddress(int) Address                      { return Address{} }
func File(net.Addr) os.FileInfo                    { return nil }
func RemoveFile(net.Addr, os.FileInfo)             {}
func New(net.Addr) (int, error)                    { return -1, errors.ErrUnsupported }
func Bind(int, net.Addr) error                     { return errors.ErrUnsupported }
func Connect(int, net.Addr) (done bool, err error) { return false, errors.ErrUnsupported }
func IsStream(int) error                           { return errors.ErrUnsupported }
func Listening(int) bool                           { return false }

const Inherits = false

func (o *Options) Set(int, bool) error { return errors.ErrUnsupported }
func (o *Options) SetTCP(int) error    { return errors.ErrUnsupported }

func (o *Options) SetListening(int, bool) error { return errors.ErrUnsupported }

func SetReadBuffer(int, int) error                                   { return errors.ErrUnsupported }
func SetWriteBuffer(int, int) error                                  { return errors.ErrUnsupported }
func SetLinger(int, int) error                                       { return errors.ErrUnsupported }
func SetKeepAlive(int, bool) error                                   { return errors.ErrUnsupported }
func SetKeepAliveTimes(int, time.Duration, time.Duration, int) error { return errors.ErrUnsupported }
func CloseRead(int) error                                            { return errors.ErrUnsupported }
func AwaitReady(int, bool, time.Duration) error                      { return errors.ErrUnsupported }
