package racs_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/cloud-of-se/tses/stp/racs"
)

// benchServer answers requests of APDUs over TLS on loopback, with as little
// work as it can.
func benchServer(b testing.TB) *racs.Client {
	b.Helper()
	ca := newAuthority(b, "CA")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.issue("server", nil)}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return // the benchmark has ended
		}
		defer conn.Close()
		answerAPDUs(conn)
	}()
	client, err := racs.Dial(b.Context(), listener.Addr().String(), racs.ClientConfig([]*x509.Certificate{ca.cert}, tls.Certificate{}, ""), racs.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	return client
}

func answerAPDUs(conn net.Conn) {
	var out []byte
	line := 0
	for br := bufio.NewReaderSize(conn, 64<<10); ; {
		in, err := br.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case bytes.HasPrefix(in, []byte("BEGIN")):
			out, line = append(out, in...), 0
		case bytes.HasPrefix(in, []byte("END")):
			out = append(out, in...)
			if br.Buffered() > 0 {
				continue
			}
			if _, err := conn.Write(out); err != nil {
				return
			}
			out = out[:0]
		default:
			line++
			out = fmt.Appendf(out, "+006 %03d 00112233445566779000\r\n", line)
		}
	}
}

func TestManyGoroutinesOverTLS(t *testing.T) {
	client := benchServer(t)
	var calls sync.WaitGroup
	for range 100 {
		calls.Go(func() {
			got, err := client.Batch(t.Context(), "soft1", slicesRepeat(getChallenge, 20), racs.APDUOptions{})
			if err != nil || len(got) != 20 {
				t.Errorf("got %d answers, %v", len(got), err)
			}
		})
	}
	calls.Wait()
}

var getChallenge = []byte{0x00, 0x84, 0x00, 0x00, 0x08}

func BenchmarkTransmit(b *testing.B) {
	client := benchServer(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Transmit(b.Context(), "soft1", getChallenge); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTransmitPipelined(b *testing.B) {
	client := benchServer(b)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.Transmit(b.Context(), "soft1", getChallenge); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkBatch100(b *testing.B) {
	client := benchServer(b)
	commands := slicesRepeat(getChallenge, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Batch(b.Context(), "soft1", commands, racs.APDUOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/APDU")
}

// BenchmarkPingPong is the limit: the bytes of one request and its answer over
// the same kind of connection, without RACS.
func BenchmarkPingPong(b *testing.B) {
	request := "BEGIN 1\r\nAPDU soft1 0084000008\r\nEND\r\n"
	answer := "BEGIN 1\r\n+006 001 00112233445566779000\r\nEND\r\n"
	ca := newAuthority(b, "CA")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.issue("server", nil)}})
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return // the benchmark has ended
		}
		defer conn.Close()
		for in := make([]byte, len(request)); ; {
			if _, err := conn.Read(in); err != nil {
				return
			}
			if _, err := conn.Write([]byte(answer)); err != nil {
				return
			}
		}
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), racs.ClientConfig([]*x509.Certificate{ca.cert}, tls.Certificate{}, "127.0.0.1"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	out, in := []byte(request), make([]byte, len(answer))
	for b.Loop() {
		if _, err := conn.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(in); err != nil {
			b.Fatal(err)
		}
	}
	if !strings.HasSuffix(string(in), "END\r\n") {
		b.Errorf("got %q", in)
	}
}
