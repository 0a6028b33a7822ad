package main

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

var procMemoryInfo = windows.NewLazySystemDLL("kernel32.dll").NewProc("K32GetProcessMemoryInfo")

// peakMemoryOf returns the most memory that a process has used, in bytes.
func peakMemoryOf(pid int) (int64, error) {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_INFORMATION|windows.PROCESS_VM_READ, false, uint32(pid))
	if err != nil {
		return 0, err
	}
	defer windows.CloseHandle(process)
	var counters struct { // PROCESS_MEMORY_COUNTERS
		size, pageFaults                         uint32
		peakWorkingSet, workingSet               uintptr
		peakPaged, paged, peakNonPaged, nonPaged uintptr
		pagefile, peakPagefile                   uintptr
	}
	counters.size = uint32(unsafe.Sizeof(counters))
	ok, _, err := procMemoryInfo.Call(uintptr(process), uintptr(unsafe.Pointer(&counters)), uintptr(counters.size))
	if ok == 0 {
		return 0, err
	}
	return int64(counters.peakWorkingSet), nil
}
