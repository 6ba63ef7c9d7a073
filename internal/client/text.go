package client

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Language is that of notices; the zero value is English.
type Language int

// The languages there are.
const (
	English Language = iota
	Japanese
)

// LanguageOf gives the language that the environment asks for, by the locale
// variables in the order POSIX gives them.
func LanguageOf(getenv func(string) string) Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := getenv(name); locale != "" {
			// language[_TERRITORY][.codeset][@modifier]
			if end := strings.IndexAny(locale, "_.@"); end >= 0 {
				locale = locale[:end]
			}
			if locale == "ja" {
				return Japanese
			}
			return English
		}
	}
	return English
}

// texts are what a user reads about a connection.
type texts struct {
	lost, lostHint, again              string
	refused, gaveUp, abandoned, hangUp string
	notConnected, unsupported          string
	notEncrypted, notListening         string
}

var languages = [...]texts{
	English: {
		lost:         "[The connection was lost. Reconnecting...]",
		lostHint:     "[The connection was lost. Reconnecting... To give up, press Enter, ~ and .]",
		again:        "[Connected again.]",
		refused:      "The session cannot be resumed: %v.",
		gaveUp:       "The connection stayed lost for %s; giving up. Start a new session when the server can be reached again. (%v)",
		abandoned:    "Given up while the connection was lost.",
		hangUp:       "The terminal is gone; the session stays until its idle time-out.",
		notConnected: "The session could not be opened: %v. Check that the server can be reached from here.",
		notEncrypted: "The session document asks for encryption, which failed (%v). Nothing was sent unencrypted.",
		notListening: "The tunnel's local end could not be opened: %v. Choose another local port or socket.",
		unsupported:  "This session needs something that this program does not support: %s.",
	},
	Japanese: {
		lost:         "[接続が切れました。再接続しています...]",
		lostHint:     "[接続が切れました。再接続しています... 中止するには Enter、~、. の順に押してください]",
		again:        "[再接続しました。]",
		refused:      "セッションを再開できません: %v",
		gaveUp:       "%s 再接続できなかったため中止しました。サーバーに到達できるようになったら、新しいセッションを開始してください。(%v)",
		abandoned:    "切断中に中止しました。",
		hangUp:       "端末がなくなりました。セッションはアイドルタイムアウトまで残ります。",
		notConnected: "セッションを開けませんでした: %v。ここからサーバーに到達できるか確認してください。",
		notEncrypted: "セッションドキュメントが求める暗号化に失敗しました (%v)。暗号化されていないデータは送信していません。",
		notListening: "トンネルのローカル側を開けませんでした: %v。別のローカルポートまたはソケットを指定してください。",
		unsupported:  "このプログラムが対応していない機能を必要とするセッションです: %s",
	},
}

// Explain puts an error of [Run] into words for the user.
func Explain(language Language, err error) string {
	t := languages[language]
	var refused *RefusedError
	var unsupported *UnsupportedError
	var encryption *EncryptionError
	var listen *ListenError
	switch {
	case errors.As(err, &refused):
		return fmt.Sprintf(t.refused, refused.Err)
	case errors.As(err, &unsupported):
		return fmt.Sprintf(t.unsupported, unsupported.What)
	case errors.As(err, &listen):
		return fmt.Sprintf(t.notListening, listen.Err)
	case errors.As(err, &encryption):
		return fmt.Sprintf(t.notEncrypted, encryption.Err)
	case errors.Is(err, ErrGaveUp):
		return fmt.Sprintf(t.gaveUp, reconnectPatience.Truncate(time.Minute), err)
	case errors.Is(err, ErrAbandoned):
		return t.abandoned
	case errors.Is(err, ErrHangUp):
		return t.hangUp
	case errors.Is(err, ErrNotConnected):
		return fmt.Sprintf(t.notConnected, err)
	}
	return err.Error()
}

// notice tells the user about the connection. On a raw terminal the cursor may be
// anywhere, so the notice takes lines of its own.
func (r *run) notice(text string) {
	if r.raw.Load() {
		fmt.Fprintf(r.Stderr, "\r\n%s\r\n", text)
		return
	}
	fmt.Fprintf(r.Stderr, "%s\n", text)
}
