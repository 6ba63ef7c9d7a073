package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekisho/internal/sigv4"
)

func TestBuckets(t *testing.T) {
	w := newWorld(t)
	w.do("200", "PUT", "/logs", nil)
	w.refused("409", "BucketAlreadyOwnedByYou", "PUT", "/logs", nil)
	w.refused("400", "InvalidBucketName", "PUT", "/Logs_", nil)
	w.do("200", "PUT", "/session.logs", []byte(`<CreateBucketConfiguration><LocationConstraint>local-1</LocationConstraint></CreateBucketConfiguration>`))
	w.refused("400", "InvalidLocationConstraint", "PUT", "/other", []byte(`<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>`))
	if got, _ := w.do("200", "GET", "/", nil); !regexp.MustCompile(`<Name>logs</Name>.*<Name>session.logs</Name>`).MatchString(got) {
		t.Error(got)
	}
	_, h := w.do("200", "HEAD", "/logs", nil)
	_, missing := w.do("404", "HEAD", "/missing", nil)
	if h.Get("x-amz-bucket-region") != "local-1" || missing.Get("x-amz-bucket-region") != "local-1" {
		t.Error("HEAD does not tell the region")
	}
	w.do("200 <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">local-1</LocationConstraint>", "GET", "/logs?location", nil)
	w.do("200", "GET", "/logs?versioning", nil)
	w.do("200", "GET", "/logs?acl", nil)
	w.refused("404", "NoSuchBucketPolicy", "GET", "/logs?policy", nil)
	w.refused("404", "NoSuchBucket", "GET", "/missing", nil)
	w.refused("501", "NotImplemented", "PUT", "/logs?lifecycle", nil)
	w.refused("405", "MethodNotAllowed", "PATCH", "/logs", nil)

	// The stock agent looks for this before a session (agent-control-plane.md §5.1).
	if got, _ := w.do("200", "GET", "/logs?encryption=", nil); !strings.Contains(got, "<SSEAlgorithm>AES256</SSEAlgorithm>") {
		t.Error(got)
	}
	w.do("200", "PUT", "/logs?encryption", []byte(`<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`))
	if got, _ := w.do("200", "GET", "/logs?encryption", nil); !strings.Contains(got, "<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>arn:aws:kms:k</KMSMasterKeyID>") {
		t.Error(got)
	}
	w.refused("400", "MalformedXML", "PUT", "/logs?encryption", []byte(`<x/>`))
	_, h = w.do("200", "PUT", "/logs/secret", []byte("text"))
	if h.Get("x-amz-server-side-encryption") != "aws:kms" {
		t.Error(h)
	}
	w.do("200 text", "GET", "/logs/secret", nil)
	w.keys.disabled = true
	w.refused("400", "KMS.DisabledException", "GET", "/logs/secret", nil)
	w.do("204", "DELETE", "/logs?encryption", nil)

	w.refused("409", "BucketNotEmpty", "DELETE", "/logs", nil)
	w.do("204", "DELETE", "/logs/secret", nil)
	w.do("204", "DELETE", "/logs", nil)
	w.refused("404", "NoSuchBucket", "DELETE", "/logs", nil)
}

func TestObjects(t *testing.T) {
	w := newWorld(t)
	w.do("200", "PUT", "/bkt", nil)
	text := random(3*chunkSize + 17)
	const path = "/bkt/SessionManager/bob-1%20+%E6%97%A5.log"
	sum := md5.Sum(text)
	_, h := w.do("200", "PUT", path, text, header("Content-Type", "text/plain"), header("x-amz-acl", "bucket-owner-full-control"),
		header("Content-MD5", base64.StdEncoding.EncodeToString(sum[:])), header("x-amz-meta-session", "bob-1"))
	etag := fmt.Sprintf(`"%x"`, sum)
	if h.Get("ETag") != etag || h.Get("x-amz-server-side-encryption") != "AES256" {
		t.Error(h)
	}
	_, h = w.do("200 "+string(text), "GET", path, nil)
	if h.Get("Content-Type") != "text/plain" || h.Get("x-amz-meta-session") != "bob-1" || h.Get("ETag") != etag {
		t.Error(h)
	}
	w.do("206 "+string(text[chunkSize-5:chunkSize+5])+"", "GET", path, nil, header("Range", fmt.Sprintf("bytes=%d-%d", chunkSize-5, chunkSize+4)))
	w.do("206 "+string(text[len(text)-3:]), "GET", path, nil, header("Range", "bytes=-3"))
	w.do("416", "GET", path, nil, header("Range", "bytes=9999999-"))
	w.do("304", "GET", path, nil, header("If-None-Match", etag))
	w.do("412", "GET", path, nil, header("If-Match", `"x"`))
	_, h = w.do("200 ", "HEAD", path, nil)
	if h.Get("Content-Length") != fmt.Sprint(len(text)) {
		t.Error(h)
	}
	w.refused("412", "PreconditionFailed", "PUT", path, nil, header("If-None-Match", "*"))
	w.do("200", "PUT", "/bkt/empty", nil)
	w.do("200 ", "GET", "/bkt/empty", nil)
	w.do("200", "PUT", "/bkt/"+strings.Repeat("x", 1024), nil)
	w.refused("400", "KeyTooLongError", "PUT", "/bkt/"+strings.Repeat("x", 1025), nil)
	w.refused("404", "NoSuchKey", "GET", "/bkt/none", nil)
	w.refused("404", "NoSuchBucket", "PUT", "/none/k", nil)
	w.refused("400", "AccessControlListNotSupported", "PUT", "/bkt/k", nil, header("x-amz-acl", "public-read"))
	w.refused("501", "NotImplemented", "PUT", "/bkt/k", nil, header("x-amz-copy-source", "bkt/empty"))

	// What is not what it says it is, is not kept.
	w.refused("400", "BadDigest", "PUT", "/bkt/bad", text, header("Content-MD5", base64.StdEncoding.EncodeToString(make([]byte, 16))))
	w.refused("400", "InvalidDigest", "PUT", "/bkt/bad", text, header("Content-MD5", "x"))
	w.refused("400", "XAmzContentSHA256Mismatch", "PUT", "/bkt/bad", text, header("x-amz-content-sha256", strings.Repeat("0", 64)))
	w.refused("400", "BadDigest", "PUT", "/bkt/bad", text, header("x-amz-checksum-crc32", "AAAAAA=="))
	w.refused("404", "NoSuchKey", "GET", "/bkt/bad", nil)

	// The framing of newer SDKs.
	framed := func(trailer string) ([]byte, []func(*http.Request)) {
		body := fmt.Sprintf("5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", trailer)
		return []byte(body), []func(*http.Request){header("x-amz-content-sha256", unsignedTrailer), header("Content-Encoding", "aws-chunked"),
			header("x-amz-decoded-content-length", "11"), header("x-amz-trailer", "x-amz-checksum-crc32")}
	}
	crc := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte("hello world"))))
	body, headers := framed(crc)
	w.do("200", "PUT", "/bkt/framed", body, headers...)
	_, h = w.do("200 hello world", "GET", "/bkt/framed", nil, header("x-amz-checksum-mode", "ENABLED"))
	if h.Get("x-amz-checksum-crc32") != crc || h.Get("Content-Encoding") != "" {
		t.Error(h)
	}
	body, headers = framed("AAAAAA==")
	w.refused("400", "BadDigest", "PUT", "/bkt/bad", body, headers...)
	body, headers = framed(crc)
	w.refused("400", "IncompleteBody", "PUT", "/bkt/bad", body[:12], headers...)
	w.refused("501", "NotImplemented", "PUT", "/bkt/bad", body, header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"))

	w.do("204", "DELETE", path, nil)
	w.do("204", "DELETE", path, nil)
	before := len(w.files())
	w.ahead.Add(int64(2 * readGrace))
	must(t, w.server.Sweep(t.Context()))
	if after := len(w.files()); after != before-1 {
		t.Errorf("%d files, after the sweep %d", before, after)
	}
}

func TestListing(t *testing.T) {
	w := newWorld(t)
	w.do("200", "PUT", "/bkt", nil)
	for _, key := range []string{"a", "p/1", "p/2", "p/q/1", "p/q/2", "q/1", "%E6%97%A5%20%26", "z"} {
		w.do("200", "PUT", "/bkt/"+key, nil)
	}
	found := regexp.MustCompile(`<(?:Key|Prefix)>([^<]+)</(?:Key|Prefix)>`)
	token := regexp.MustCompile(`<NextContinuationToken>([^<]+)<`)
	list := func(query string) string {
		t.Helper()
		got, _ := w.do("200", "GET", "/bkt?list-type=2&"+query, nil)
		_, got, _ = strings.Cut(got, "<KeyCount>")
		var names []string
		for _, m := range found.FindAllStringSubmatch(got, -1) {
			names = append(names, m[1])
		}
		if m := token.FindStringSubmatch(got); m != nil {
			names = append(names, "...")
		}
		return strings.Join(names, " ")
	}
	for query, want := range map[string]string{
		"":                                  "a p/1 p/2 p/q/1 p/q/2 q/1 z 日 &amp;",
		"delimiter=/":                       "a z 日 &amp; p/ q/",
		"delimiter=/&prefix=p/":             "p/1 p/2 p/q/",
		"prefix=p/q":                        "p/q/1 p/q/2",
		"start-after=p/2":                   "p/q/1 p/q/2 q/1 z 日 &amp;",
		"max-keys=2":                        "a p/1 ...",
		"encoding-type=url&start-after=zz":  "%E6%97%A5+%26",
		"max-keys=0":                        "",
		"prefix=none":                       "",
		"delimiter=/&max-keys=2":            "a p/ ...",
		"delimiter=/&start-after=p/&prefix": "z 日 &amp; q/",
	} {
		if got := list(query); got != want {
			t.Errorf("%s: %s\nwant %s", query, got, want)
		}
	}
	var pages []string
	for after := ""; ; {
		got, _ := w.do("200", "GET", "/bkt?list-type=2&delimiter=/&max-keys=1"+after, nil)
		_, rest, _ := strings.Cut(got, "<KeyCount>")
		pages = append(pages, found.FindStringSubmatch(rest)[1])
		m := token.FindStringSubmatch(got)
		if m == nil {
			break
		}
		after = "&continuation-token=" + m[1]
	}
	if got := strings.Join(pages, " "); got != "a p/ q/ z 日 &amp;" {
		t.Errorf("page by page: %s", got)
	}
	if got, _ := w.do("200", "GET", "/bkt?max-keys=1&delimiter=/&marker=a", nil); !strings.Contains(got, "<NextMarker>p/</NextMarker>") {
		t.Error(got)
	}
	got, _ := w.do("200", "POST", "/bkt?delete", []byte(`<Delete><Object><Key>a</Key></Object><Object><Key>none</Key></Object></Delete>`))
	if strings.Count(got, "<Deleted>") != 2 || list("prefix=a") != "" {
		t.Error(got)
	}
}

func TestParts(t *testing.T) {
	w := newWorld(t)
	w.do("200", "PUT", "/bkt", nil)
	id := func() string {
		got, _ := w.do("200", "POST", "/bkt/k?uploads", nil, header("Content-Type", "text/plain"))
		return regexp.MustCompile(`<UploadId>(\w+)<`).FindStringSubmatch(got)[1]
	}
	upload := id()
	first, second := random(minPart), random(100)
	var list strings.Builder
	for i, part := range [][]byte{first, second} {
		_, h := w.do("200", "PUT", fmt.Sprintf("/bkt/k?partNumber=%d&uploadId=%s", i+1, upload), part)
		fmt.Fprintf(&list, `<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>`, i+1, h.Get("ETag"))
	}
	w.refused("400", "InvalidArgument", "PUT", "/bkt/k?partNumber=0&uploadId="+upload, nil)
	w.refused("404", "NoSuchUpload", "PUT", "/bkt/other?partNumber=1&uploadId="+upload, nil)
	if got, _ := w.do("200", "GET", "/bkt/k?uploadId="+upload+"&max-parts=1", nil); !strings.Contains(got, "<NextPartNumberMarker>1<") || !strings.Contains(got, "<IsTruncated>true<") {
		t.Error(got)
	}
	complete := func(parts string) []byte {
		return []byte("<CompleteMultipartUpload>" + parts + "</CompleteMultipartUpload>")
	}
	w.refused("400", "InvalidPart", "POST", "/bkt/k?uploadId="+upload, complete(`<Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>`))
	w.refused("400", "MalformedXML", "POST", "/bkt/k?uploadId="+upload, complete(""))
	w.refused("404", "NoSuchKey", "GET", "/bkt/k", nil)
	if got, _ := w.do("200", "POST", "/bkt/k?uploadId="+upload, complete(list.String())); !regexp.MustCompile(`[0-9a-f]{32}-2&#34;`).MatchString(got) {
		t.Error(got)
	}
	_, h := w.do("200 "+string(first)+string(second), "GET", "/bkt/k", nil)
	if h.Get("Content-Type") != "text/plain" {
		t.Error(h)
	}
	w.do("206 "+string(first[minPart-2:])+string(second[:3]), "GET", "/bkt/k", nil, header("Range", fmt.Sprintf("bytes=%d-%d", minPart-2, minPart+2)))
	w.refused("404", "NoSuchUpload", "DELETE", "/bkt/k?uploadId="+upload, nil)
	upload = id()
	w.do("204", "DELETE", "/bkt/k?uploadId="+upload, nil)
	w.refused("404", "NoSuchUpload", "GET", "/bkt/k?uploadId="+upload, nil)
}

func TestEncryptionAtRest(t *testing.T) {
	w := newWorld(t)
	w.do("200", "PUT", "/bkt", nil)
	text := bytes.Repeat([]byte("what was typed at the console\n"), 10000) // five chunks
	w.do("200", "PUT", "/bkt/k", text)
	files := w.files()
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	stored, err := os.ReadFile(files[0])
	must(t, err)
	if bytes.Contains(stored, []byte("typed")) {
		t.Error("the file can be read")
	}
	damaged := map[string][]byte{
		"a flipped bit":  append([]byte{stored[0] ^ 1}, stored[1:]...),
		"swapped chunks": append(append(bytes.Clone(stored[chunkSize+tagSize:2*(chunkSize+tagSize)]), stored[:chunkSize+tagSize]...), stored[2*(chunkSize+tagSize):]...),
	}
	for name, content := range damaged {
		must(t, os.WriteFile(files[0], content, 0o600))
		w.refused("500", "InternalError", "GET", "/bkt/k", nil)
		_ = name
	}
	// Damage behind what was sent already cuts the connection.
	late := bytes.Clone(stored)
	late[len(late)-1] ^= 1
	for name, content := range map[string][]byte{"a late flip": late, "a truncated file": stored[:len(stored)-100]} {
		must(t, os.WriteFile(files[0], content, 0o600))
		answer, err := w.http.Client().Do(w.request("alice", "GET", "/bkt/k", nil))
		if err != nil {
			continue
		}
		got, err := bytes.NewBuffer(nil), error(nil)
		_, err = got.ReadFrom(answer.Body)
		answer.Body.Close()
		if err == nil {
			t.Errorf("%s: %d of %d bytes were read without an error", name, got.Len(), len(text))
		}
	}
}

func TestSignatures(t *testing.T) {
	w := newWorld(t)
	w.do("200", "PUT", "/bkt", nil)
	w.do("200", "PUT", "/bkt/k", []byte("text"))
	check := func(what, want string, r *http.Request) {
		t.Helper()
		if got, _ := w.send(r); !strings.Contains(got, want) {
			t.Errorf("%s: %.400s\nwant %s", what, got, want)
		}
	}
	check("nobody", "403 ", func() *http.Request {
		r := w.request("", "GET", "/bkt/k", nil)
		r.Header.Del("x-amz-content-sha256")
		return r
	}())
	r := w.request("alice", "GET", "/bkt/k", nil)
	r.Header.Set("x-amz-security-token", "x")
	check("a header that was added", "<Code>AccessDenied</Code><Message>There were headers present in the request which were not signed", r)
	r = w.request("alice", "GET", "/bkt/k", nil)
	r.URL.RawQuery = "acl"
	check("another query", "<Code>SignatureDoesNotMatch</Code>", r)
	r = w.request("", "GET", "/bkt/k", nil)
	sigv4.Sign(r, sigv4.Hash(nil), sigv4.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: "x"}, arns.Region, "s3", time.Now())
	check("an unknown key", "<Code>InvalidAccessKeyId</Code>", r)
	r = w.request("", "GET", "/bkt/k", nil)
	sigv4.Sign(r, sigv4.Hash(nil), credentials("alice"), "us-east-1", "s3", time.Now())
	check("another region", "<Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region is wrong; expecting &#39;local-1&#39;</Message><Region>local-1</Region>", r)
	r = w.request("", "GET", "/bkt/k", nil)
	sigv4.Sign(r, sigv4.Hash(nil), credentials("alice"), arns.Region, "s3", time.Now().Add(-time.Hour))
	check("an old request", "<Code>RequestTimeTooSkewed</Code>", r)

	presigned := func(at time.Time) *http.Request {
		r := w.request("", "GET", "/bkt/k", nil)
		r.Header.Del("x-amz-content-sha256")
		sigv4.Presign(r, unsignedPayload, credentials("alice"), arns.Region, "s3", time.Hour, at)
		return r
	}
	check("a presigned URL", "200 text", presigned(time.Now().Add(-30*time.Minute)))
	check("an old presigned URL", "<Code>AccessDenied</Code><Message>Request has expired</Message>", presigned(time.Now().Add(-2*time.Hour)))

	// By a name of the bucket's own.
	r = w.request("alice", "GET", "/k", nil, func(r *http.Request) { r.Host = "bkt.s3.local-1.example.test:8443" })
	check("a virtual host", "200 text", r)
	if !w.server.Matches(r) || w.server.Matches(&http.Request{Host: "console.example.test", URL: &url.URL{Path: "/"}}) {
		t.Error("requests are not told apart")
	}
}

func TestPermissionComesFirst(t *testing.T) {
	w := newWorld(t)
	w.do("200", "PUT", "/bkt", nil)
	w.do("200", "PUT", "/bkt/p/k", []byte("text"))
	const user = "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: s3:"
	for _, test := range []struct {
		allow              string // action and resource, several with commas
		method, path, want string
	}{
		{"s3:GetObject arn:aws:s3:::bkt/q/*", "GET", "/bkt/p/k", user + `GetObject on resource: &#34;arn:aws:s3:::bkt/p/k`},
		{"s3:GetObject arn:aws:s3:::bkt/p/*", "GET", "/bkt/p/k", "200 text"},
		{"s3:GetObject arn:aws:s3:::bkt/p/*", "GET", "/bkt/p/none", "<Code>AccessDenied</Code><Message>Access Denied"}, // it does not learn that there is none
		{"s3:GetObject arn:aws:s3:::bkt/*,s3:ListBucket arn:aws:s3:::bkt", "GET", "/bkt/p/none", "<Code>NoSuchKey</Code>"},
		{"s3:GetObject arn:aws:s3:::bkt/*", "GET", "/none/k", user},
		{"s3:PutObject arn:aws:s3:::bkt/p/*", "PUT", "/bkt/p/k", "200"},
		{"s3:PutObject arn:aws:s3:::bkt/p/*", "PUT", "/bkt/q", user + "PutObject"},
		{"s3:PutObject arn:aws:s3:::bkt/p/*", "POST", "/bkt/p/k?uploads", "200"},
		{"s3:PutObject arn:aws:s3:::bkt/p/*", "GET", "/bkt", user + "ListBucket"},
		{"s3:ListBucket arn:aws:s3:::bkt", "GET", "/bkt?list-type=2", "200"},
		{"s3:ListBucket arn:aws:s3:::bkt", "HEAD", "/bkt", "200"},
		{"s3:ListBucket arn:aws:s3:::bkt", "GET", "/", user + "ListAllMyBuckets"},
		{"s3:GetEncryptionConfiguration arn:aws:s3:::bkt", "GET", "/bkt?encryption", "200"},
		{"s3:* arn:aws:s3:::bkt/*", "DELETE", "/bkt", user + "DeleteBucket"},
		{"s3:* arn:aws:s3:::bkt/*", "PUT", "/bkt?encryption", user + "PutEncryptionConfiguration"},
		{"s3:* arn:aws:s3:::bkt", "DELETE", "/bkt/p/k", user + "DeleteObject"},
	} {
		w.allow(strings.FieldsFunc(test.allow, func(r rune) bool { return r == ' ' || r == ',' })...)
		got, _ := w.send(w.request("bob", test.method, test.path, nil))
		if want := strings.ReplaceAll(test.want, "&#34;", ""); !strings.Contains(strings.ReplaceAll(got, "&#34;", ""), want) {
			t.Errorf("%s, %s %s: %.400s\nwant %s", test.allow, test.method, test.path, got, want)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if all := strings.Join(w.recorded, ", "); !strings.Contains(all, "s3:CreateBucket bkt, s3:PutObject bkt, s3:GetObject bkt AccessDenied, s3:GetObject bkt,") {
		t.Errorf("recorded: %s", all)
	}
}
