package console

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// maxFirstLoad is what the pages may weigh, compressed, before a terminal is opened.
const maxFirstLoad = 500 << 10

// What index.html names is the first load; the terminal is imported when it is opened.
func TestFirstLoadIsSmall(t *testing.T) {
	dir := filepath.Join("dist", "app")
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if os.IsNotExist(err) {
		t.Skip("the console was not built (make web)")
	}
	if err != nil {
		t.Fatal(err)
	}
	total, files := 0, 0
	add := func(content []byte) {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Write(content)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		total += out.Len()
		files++
	}
	add(page)
	for _, m := range regexp.MustCompile(`(?:src|href)="/([^"]+)"`).FindAllSubmatch(page, -1) {
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(string(m[1]))))
		if err != nil {
			t.Fatal(err)
		}
		add(content)
	}
	t.Logf("the first load is %d files of %d bytes compressed", files, total)
	if files < 3 {
		t.Errorf("index.html names %d files, want at least a script and a style sheet", files-1)
	}
	if total > maxFirstLoad {
		t.Errorf("the first load is %d bytes compressed, more than %d", total, maxFirstLoad)
	}
}
