package journal

import (
	"encoding"
	"fmt"
	"io"
	"log/slog"

	"github.com/cloud-of-se/tses/internal/plain"
)

// maxValue bounds one value in bytes. The longest ones of our own are the errors
// that say which line of a configuration cures what.
const maxValue = 1024

// NewHandler writes records as lines of text to w, with values of a bounded
// length.
func NewHandler(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: Bound})
}

// Bound is a [slog.HandlerOptions.ReplaceAttr] that cuts what is longer than a
// line of a log can be: names and errors repeat what others have sent.
func Bound(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if text := a.Value.String(); len(text) > maxValue {
			a.Value = slog.StringValue(plain.Short(text, maxValue))
		}
	case slog.KindAny:
		if text, long := longText(a.Value.Any()); long {
			a.Value = slog.StringValue(plain.Short(text, maxValue))
		}
	}
	return a
}

// longText is the text of a value that is too long. Those that write themselves
// as text, such as addresses and levels, are short.
func longText(v any) (text string, long bool) {
	switch v := v.(type) {
	case error:
		text = v.Error()
	case encoding.TextMarshaler, *slog.Source:
		return "", false
	default:
		text = fmt.Sprintf("%+v", v)
	}
	return text, len(text) > maxValue
}
