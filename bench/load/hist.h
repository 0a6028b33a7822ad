// A histogram with the buckets of HdrHistogram: exact to 1 in 256 from 1 ns to
// 18 minutes, counted with one increment. The report reads it back into the
// library of that name, which knows percentiles.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { HALF_BITS = 8, HALF = 1 << HALF_BITS, BUCKETS = 32 };

struct hist {
	uint64_t count[(BUCKETS + 1) * HALF];
};

static inline void hist_record(struct hist *h, int64_t ns, uint64_t times)
{
	uint64_t v = ns < 1 ? 1 : (uint64_t)ns;
	int shift = 63 - __builtin_clzll(v | (2 * HALF - 1)) - HALF_BITS;
	uint64_t i = (uint64_t)shift * HALF + (v >> shift);
	if (i >= sizeof h->count / sizeof *h->count)
		i = sizeof h->count / sizeof *h->count - 1;
	h->count[i] += times;
}

// hist_print writes [[ns,count],...], the middle of each bucket in use.
static inline void hist_print(const struct hist *h, FILE *out)
{
	const char *comma = "";
	fputc('[', out);
	for (uint64_t i = 1; i < sizeof h->count / sizeof *h->count; i++) {
		if (!h->count[i])
			continue;
		uint64_t shift = i < 2 * HALF ? 0 : i / HALF - 1;
		uint64_t low = (i - shift * HALF) << shift;
		fprintf(out, "%s[%llu,%llu]", comma, (unsigned long long)(low + ((1ull << shift) >> 1)),
			(unsigned long long)h->count[i]);
		comma = ",";
	}
	fputc(']', out);
}
