package drivers

import "context"

type busyKey struct{}

// OnBusy returns a context whose calls say by [Busy] that they go on. f may be
// called at any time, from several goroutines, and does not wait.
func OnBusy(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, busyKey{}, f)
}

// Busy tells whoever made the call of which ctx is that the SE works on it and
// asks for more time: it has sent S(WTX request) (ISO/IEC 7816-3, 11.6.2.3) or a
// NULL byte (10.3.3), or is a program that makes a key. An SE that is mute does
// not. Whether there is more time is the caller's to say, by the context's end.
func Busy(ctx context.Context) {
	if f, ok := ctx.Value(busyKey{}).(func()); ok {
		f()
	}
}
