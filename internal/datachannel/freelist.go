package datachannel

// Frame buffers are kept in three sizes: a keystroke, a line or the stock
// peers' 1 KiB read, and a 32 KiB read, each with its header. A buffer is used
// when at least half of it is needed, so that the window bounds memory too.
const (
	smallFrame  = 512
	mediumFrame = 4 << 10
	largeFrame  = 32<<10 + 256
	freePerSize = 16
)

// freeList keeps the buffers of acknowledged frames of one channel, at most
// freePerSize of each size.
type freeList struct {
	small, medium, large [][]byte
}

func (f *freeList) list(size int) *[][]byte {
	switch size {
	case smallFrame:
		return &f.small
	case mediumFrame:
		return &f.medium
	case largeFrame:
		return &f.large
	}
	return nil
}

// get returns an empty buffer with room for n bytes.
func (f *freeList) get(n int) []byte {
	size := n
	switch {
	case n <= smallFrame:
		size = smallFrame
	case n <= mediumFrame && 2*n >= mediumFrame:
		size = mediumFrame
	case n <= largeFrame && 2*n >= largeFrame:
		size = largeFrame
	}
	if l := f.list(size); l != nil && len(*l) > 0 {
		last := len(*l) - 1
		b := (*l)[last]
		(*l)[last] = nil
		*l = (*l)[:last]
		return b
	}
	return make([]byte, 0, size)
}

// put takes a buffer back that nothing refers to any more.
func (f *freeList) put(b []byte) {
	if l := f.list(cap(b)); l != nil && len(*l) < freePerSize {
		*l = append(*l, b[:0])
	}
}
