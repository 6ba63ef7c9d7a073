package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekisho/internal/ssm"
	"sekisho/internal/store"
	"sekisho/internal/store/storetest"
)

func addTranscript(t testing.TB, s *store.Store, n int, text string) string {
	t.Helper()
	id := fmt.Sprintf("alice-%017d", n)
	at := time.UnixMilli(1_767_323_045_000).Add(time.Duration(n) * time.Minute)
	err := s.BeginRecording(t.Context(), store.Recording{SessionID: id, NodeID: "mi-" + strconv.Itoa(n%7),
		OwnerARN: "arn:aws:iam::123456789012:user/u" + strconv.Itoa(n%5), Directory: id, StartedAt: at, EndedAt: at.Add(time.Minute), Closed: true})
	if err == nil {
		marks := []ssm.TranscriptMark{{Byte: 0, Millis: 0}}
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			marks = append(marks, ssm.TranscriptMark{Byte: i + 1, Millis: 2500})
		}
		err = s.PutTranscript(t.Context(), id, ssm.Transcript{Text: text, Marks: marks}, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func everybody(store.Recording) (bool, error) { return true, nil }

// found gives the sessions that a search finds on all its pages.
func found(t testing.TB, s *store.Store, query string, f store.RecordingFilter, limit int) (ids []string) {
	t.Helper()
	for after := ""; ; {
		hits, next, err := s.SearchTranscripts(t.Context(), query, f, store.Page{After: after, Limit: limit}, everybody)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hits {
			ids = append(ids, h.Recording.SessionID)
		}
		if next == "" {
			return ids
		}
		after = next
	}
}

func TestSearchTranscripts(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.OpenDSN(t, dsn)
		var all []string
		// More than one block, and some that are in none.
		for n := range 600 {
			text := fmt.Sprintf("login\n$ systemctl restart unit-%d\n", n)
			if n%100 == 3 {
				text += "データベースの障害対応を始めます\nＡＢＣ　Full   Width\n"
			}
			all = append(all, addTranscript(t, s, n, text))
			if n == 550 {
				if made, err := s.GatherTranscripts(t.Context()); err != nil || !made {
					t.Fatalf("gathered: %v, %v", made, err)
				}
			}
		}
		if made, err := s.GatherTranscripts(t.Context()); err != nil || made {
			t.Fatalf("too few for a block: %v, %v", made, err)
		}
		japanese := []string{all[503], all[403], all[303], all[203], all[103], all[3]}
		for query, want := range map[string][]string{
			"障害":                 japanese,
			"害対":                 japanese,
			"の障害対応を":             japanese,
			"障害応":                nil,
			"abc full":           japanese,
			"SYSTEMCTL  restart": reversed(all),
			"unit-57":            nil, // counted below
			"unit-577":           {all[577]},
			"restart unit-5\n":   nil,
			"xyzzy":              nil,
		} {
			for _, limit := range []int{3, 1000} {
				got := found(t, s, query, store.RecordingFilter{}, limit)
				switch query {
				case "unit-57":
					if len(got) != 11 {
						t.Errorf("%q: %d hits, want 11", query, len(got))
					}
				case "restart unit-5\n":
					if len(got) != 111 {
						t.Errorf("%q: %d hits, want 111", query, len(got))
					}
				default:
					if !slices.Equal(got, want) {
						t.Errorf("%q with pages of %d: %d hits %.200v\nwant %d %.200v", query, limit, len(got), got, len(want), want)
					}
				}
			}
		}
		got := found(t, s, "障害", store.RecordingFilter{OwnerARN: "arn:aws:iam::123456789012:user/u3", NodeID: "mi-" + strconv.Itoa(203%7)}, 10)
		if !slices.Equal(got, []string{all[203]}) {
			t.Errorf("of one owner on one node: %v", got)
		}
		hits, _, err := s.SearchTranscripts(t.Context(), "SystemCtl", store.RecordingFilter{}, store.Page{Limit: 1}, everybody)
		if err != nil || len(hits) != 1 || hits[0].Excerpt != "$ systemctl restart unit-599" || hits[0].Offset != 2500*time.Millisecond {
			t.Errorf("%+v, %v", hits, err)
		}
		hits, _, err = s.SearchTranscripts(t.Context(), "障害", store.RecordingFilter{}, store.Page{}, func(store.Recording) (bool, error) { return false, nil })
		if err != nil || len(hits) != 0 {
			t.Errorf("of those that it may not see: %v, %v", hits, err)
		}
		if _, _, err := s.SearchTranscripts(t.Context(), " x ", store.RecordingFilter{}, store.Page{}, everybody); err == nil {
			t.Error("one character is enough")
		}
		if removed, err := s.RemoveRecording(t.Context(), all[203]); err != nil || !removed {
			t.Fatal(removed, err)
		}
		if got := found(t, s, "障害", store.RecordingFilter{}, 100); len(got) != 5 {
			t.Errorf("after one is removed: %v", got)
		}
	})
}

// BenchmarkSearchTranscripts prints the 95th percentile of searches over
// SEKISHO_BENCH_TRANSCRIPTS sessions (2000 if it is not set; the project's aim is 1 s for
// 100000).
func BenchmarkSearchTranscripts(b *testing.B) {
	sessions := 2000
	if n, err := strconv.Atoi(os.Getenv("SEKISHO_BENCH_TRANSCRIPTS")); err == nil {
		sessions = n
	}
	for _, db := range storetest.Databases() {
		b.Run(db.Name, func(b *testing.B) {
			s := storetest.OpenDSN(b, db.New(b))
			random := rand.New(rand.NewPCG(1, 2))
			words := benchWords(random)
			began := time.Now()
			for n := range sessions {
				var text strings.Builder
				for range 60 {
					fmt.Fprintf(&text, "%s %s %s %s\n", word(random, words), word(random, words), word(random, words), word(random, words))
				}
				if n%1000 == 7 {
					text.WriteString("ディスク障害の対応 needle-" + strconv.Itoa(n) + "\n")
				}
				addTranscript(b, s, n, text.String())
				if n%512 == 511 {
					if _, err := s.GatherTranscripts(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.Logf("%d sessions stored in %s", sessions, time.Since(began).Round(time.Second))
			queries := []string{"障害の対応", "needle-7", "systemctl", "needle-", "ls", "no such text", "ログ確認"}
			for range 20 {
				queries = append(queries, word(random, words)+" "+word(random, words))
			}
			var took []time.Duration
			for b.Loop() {
				for i, query := range queries {
					f := store.RecordingFilter{}
					if i%3 == 0 {
						f.OwnerARN = "arn:aws:iam::123456789012:user/u3"
					}
					start := time.Now()
					if _, _, err := s.SearchTranscripts(b.Context(), query, f, store.Page{Limit: 50}, everybody); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(start))
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
		})
	}
}

func benchWords(random *rand.Rand) []string {
	list := []string{"systemctl", "ls", "restart", "nginx", "ログ確認", "再起動しました", "エラー"}
	for range 5000 {
		var b strings.Builder
		for range 3 + random.IntN(6) {
			b.WriteByte(byte('a' + random.IntN(26)))
		}
		list = append(list, b.String())
	}
	return list
}

// word draws one, early ones more often, as people's words are.
func word(random *rand.Rand, words []string) string {
	return words[int(float64(len(words))*random.Float64()*random.Float64()*random.Float64())]
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}
