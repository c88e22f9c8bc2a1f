#!/usr/bin/python3
"""Answers each line, a number, with its prime factors, found by processes of its own."""
import multiprocessing
import sys


def factors(line):
    try:
        n = int(line)
    except ValueError:
        return "not a number"
    if not 1 < n < 10**12:
        return "not between 2 and 999999999999"
    found, d = [], 2
    while d * d <= n:
        while n % d == 0:
            found.append(d)
            n //= d
        d += 1
    return " ".join(map(str, found + [n] if n > 1 else found))


if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        for answer in pool.imap(factors, (line[:32] for line in sys.stdin)):
            print(answer, flush=True)
