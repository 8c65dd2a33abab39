/*
 * Prints the time stamp counter of the processor: ticks since it was reset, as one decimal number.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#if !defined(__x86_64__) && !defined(__i386__)
#error "the time stamp counter is a register of x86 processors"
#endif

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

int main(void)
{
	printf("%" PRIu64 "\n", read_tsc());
	return 0;
}
