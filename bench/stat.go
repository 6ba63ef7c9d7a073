package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// percentile is the smallest value that at least p of the values do not exceed
// (nearest rank), p from 0 to 1. It sorts values. Of nothing it is 0.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	rank := int(math.Ceil(p * float64(len(values))))
	return values[min(max(rank, 1), len(values))-1]
}

// median is the middle value, or the mean of the two in the middle. It leaves values
// as they are.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// turns is the order in which n clients take their turns in a round: each is first in
// turn, so that what one leaves behind does not always hit the same next one.
func turns(n, round int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = (i + round) % n
	}
	return order
}

// parseSize reads a number of bytes with an optional unit: 1024, 16K, 200M, 1G. The
// units are those of head -c: powers of 1024.
func parseSize(text string) (int, error) {
	digits, shift := text, 0
	if text != "" {
		if i := strings.IndexByte("KMG", text[len(text)-1]); i >= 0 {
			digits, shift = text[:len(text)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of bytes such as 200M", text)
	}
	return int(n) << shift, nil
}

// bannerStart begins the line that a client prints before the session's own output.
var bannerStart = []byte("Starting session with SessionId: ")

// afterBanner finds the first byte of the remote shell in a client's output: the first
// that is no end of a line, behind the client's own line if it prints one. It is -1
// when that byte has not come yet.
func afterBanner(output []byte, banner bool) int {
	from := 0
	if banner {
		at := bytes.Index(output, bannerStart)
		if at < 0 {
			return -1
		}
		end := bytes.IndexByte(output[at:], '\n')
		if end < 0 {
			return -1
		}
		from = at + end
	}
	for i, b := range output[from:] {
		if b != '\r' && b != '\n' {
			return from + i
		}
	}
	return -1
}
