// What the operating system says about CPU time: of the server's threads, of
// this process, and of everything else on the machine.
#pragma once
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

struct account {
	double wall, server, client; // seconds
	double busy, steal;          // seconds of all CPUs, in ticks of 10 ms
};

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

// server_cpu returns the CPU seconds that all threads of pid have used, from
// the scheduler's nanosecond counters.
static inline double server_cpu(int pid)
{
	char path[96];
	double total = 0;
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *dir = pid > 0 ? opendir(path) : NULL;
	if (!dir)
		return 0;
	for (struct dirent *e; (e = readdir(dir));) {
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, e->d_name);
		FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		long long ns;
		if (f && fscanf(f, "%lld", &ns) == 1)
			total += ns / 1e9;
		if (f)
			fclose(f);
	}
	closedir(dir);
	return total;
}

static inline struct account account_now(int pid)
{
	struct account a = {0};
	long long user, nice, system, idle, iowait, irq, softirq, steal;
	FILE *f = fopen("/proc/stat", "r");
	if (f && fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &user, &nice, &system,
			&idle, &iowait, &irq, &softirq, &steal) == 8) {
		double tick = sysconf(_SC_CLK_TCK);
		a.busy = (user + nice + system + irq + softirq) / tick;
		a.steal = steal / tick;
	}
	if (f)
		fclose(f);
	a.server = server_cpu(pid);
	a.client = clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
	a.wall = clock_ns(CLOCK_MONOTONIC) / 1e9;
	return a;
}
