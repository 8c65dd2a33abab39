/*
 * Reads the wall clock, the monotonic clock and the raw monotonic clock at the same time, again and again, and prints how
 * far each has come since the first reading, in nanoseconds:
 *
 *     clktest [READINGS [MILLISECONDS BETWEEN THEM]]
 *
 * One line a reading: realtime, monotonic, raw. The exit status is 1 where a clock that must not go back did.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLOCKS 3

static const clockid_t clocks[CLOCKS] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW };
static const char *const names[CLOCKS] = { "realtime", "monotonic", "raw" };

static int64_t read_clock(int which)
{
	struct timespec now;

	if (clock_gettime(clocks[which], &now) != 0) {
		fprintf(stderr, "clktest: cannot read the clock %s: %s\n", names[which], strerror(errno));
		exit(2);
	}
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static long number(const char *text, const char *what)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < 0) {
		fprintf(stderr, "clktest: %s must be a number, not `%s'\n", what, text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	long readings = argc > 1 ? number(argv[1], "READINGS") : 10;
	long pause = argc > 2 ? number(argv[2], "MILLISECONDS") : 100;
	struct timespec nap = { pause / 1000, pause % 1000 * 1000000 };
	int64_t first[CLOCKS], last[CLOCKS];
	int status = 0;

	for (int which = 0; which < CLOCKS; which++)
		first[which] = last[which] = read_clock(which);
	for (long reading = 0; reading < readings; reading++) {
		nanosleep(&nap, NULL);
		for (int which = 0; which < CLOCKS; which++) {
			int64_t now = read_clock(which);

			/* The wall clock may be set; the others never go back. */
			if (which > 0 && now < last[which]) {
				fprintf(stderr, "clktest: the clock %s went back\n", names[which]);
				status = 1;
			}
			last[which] = now;
			printf("%s%lld", which ? " " : "", (long long)(now - first[which]));
		}
		putchar('\n');
	}
	return status;
}
