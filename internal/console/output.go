package console

import (
	"net/url"
	"strings"
)

// pageOfOutput gives the page for an address that the API names for a session's log, in
// the forms of AWS's console; empty for another address. What stands behind the # of a log
// stream's stays there, by RFC 9110 §10.2.2, and the page reads it.
func pageOfOutput(u *url.URL) string {
	if u.Path == "/cloudwatch/home" {
		return "/"
	}
	object, ok := strings.CutPrefix(u.EscapedPath(), "/s3/object/")
	bucket, key, both := strings.Cut(object, "/")
	if !ok || !both || bucket == "" || key == "" {
		return ""
	}
	bucket, errBucket := url.PathUnescape(bucket)
	key, errKey := url.PathUnescape(key)
	if errBucket != nil || errKey != nil {
		return ""
	}
	return "/#/objects/" + url.PathEscape(bucket) + "/" + url.PathEscape(key)
}
