package webfetch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/relance/relance/services/availability/internal/webfetch"
)

// target counts the connections that reach this machine on any of its loopback ports used by the corpus.
func target(t *testing.T) (count *atomic.Int64, port string) {
	t.Helper()
	count = &atomic.Int64{}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			_ = conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return count, port
}

// resolver answers names from a table, each look-up with the next list of addresses.
func resolver(t *testing.T, table map[string][][]string) *net.Resolver {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go serveDNS(conn, table)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func serveDNS(conn net.PacketConn, table map[string][][]string) {
	asked := map[string]int{}
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		question := query.Questions[0]
		key := strings.TrimSuffix(question.Name.String(), ".") + question.Type.String()
		lists := table[strings.TrimSuffix(question.Name.String(), ".")]
		answer := dnsmessage.Message{
			Header: dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}, Questions: query.Questions,
		}
		if len(lists) > 0 {
			for _, text := range lists[min(asked[key], len(lists)-1)] {
				answer.Answers = append(answer.Answers, record(question, netip.MustParseAddr(text))...)
			}
		}
		asked[key]++
		packed, err := answer.Pack()
		if err == nil {
			_, _ = conn.WriteTo(packed, from)
		}
	}
}

func record(q dnsmessage.Question, ip netip.Addr) []dnsmessage.Resource {
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	switch {
	case q.Type == dnsmessage.TypeA && ip.Is4():
		return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && ip.Is6():
		return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}}}
	}
	return nil
}

// attacks are addresses that must lead nowhere. PORT is where the listener is.
func attacks() []string {
	out := []string{
		"http://public.test/", "ftp://public.test/", "gopher://127.0.0.1:PORT/_x", "file:///etc/passwd", "dict://127.0.0.1:PORT/",
		"https://", "https:///x", "https://public.test:PORT/", "https://user@public.test/", "https://user:pass@127.0.0.1/", "://", "",
		"https://[::1%25lo]/", "https://[fe80::1%25eth0]/", "https://public.test:0/", "https://public.test:65536/", "\x00", "https://%00/",
		"javascript:alert(1)", "data:text/plain,x", "unix:///run/x.sock", "HTTP://127.0.0.1:PORT/", "//127.0.0.1:PORT/", "jar:https://x!/",
	}
	for _, host := range []string{
		"127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "0", "0.0.0.0",
		"localhost", "localhost.", "LOCALHOST", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
		"[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]", "[2002:7f00:1::]", "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[ff02::1]",
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "169.254.169.254", "169.254.170.2", "192.0.0.192", "192.0.2.1",
		"198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "loop.test", "loop6.test", "mapped.test",
		"private.test", "metadata.test", "mixed.test", "rebind.test", "cgnat.test", "nat64.test", "linklocal.test", "unspecified.test",
		"127-0-0-1.nip.test", "①②⑦.⓪.⓪.①", "localtest.test",
	} {
		out = append(out, "https://"+host+"/", "https://"+host+":PORT/")
	}
	return out
}

func names() map[string][][]string {
	return map[string][][]string{
		"public.test": {{"192.0.2.10"}}, "loop.test": {{"127.0.0.1"}}, "loop6.test": {{"::1"}}, "mapped.test": {{"::ffff:127.0.0.1"}},
		"private.test": {{"10.0.0.1", "192.168.1.1"}}, "metadata.test": {{"169.254.169.254"}}, "mixed.test": {{"192.0.2.1", "127.0.0.1"}},
		"rebind.test": {{"8.8.8.8"}, {"127.0.0.1"}}, "cgnat.test": {{"100.64.1.1"}}, "nat64.test": {{"64:ff9b::7f00:1"}},
		"linklocal.test": {{"fe80::1"}}, "unspecified.test": {{"0.0.0.0"}}, "127-0-0-1.nip.test": {{"127.0.0.1"}}, "localtest.test": {{"127.0.0.1"}},
	}
}

func TestAttacksReachNothing(t *testing.T) {
	t.Parallel()
	count, port := target(t)
	var mu sync.Mutex
	var passed []string
	public := webfetch.Public()
	c := webfetch.New(webfetch.Config{
		Timeout: 2 * time.Second, Resolver: resolver(t, names()),
		// What the guard lets through is noted and cut off here: a test connects to nothing but loopback.
		Control: func(network, address string, conn syscall.RawConn) error {
			if err := public(network, address, conn); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			passed = append(passed, address)
			return errors.New("let through")
		},
	})
	corpus := attacks()
	for _, text := range corpus {
		// Twice, so that a name that is bound anew in between is dialled too.
		for range 2 {
			if answer, err := c.Get(t.Context(), strings.ReplaceAll(text, "PORT", port), nil); err == nil {
				t.Errorf("%q was answered with %d", text, answer.Status)
			}
		}
	}
	if n := count.Load(); n != 0 {
		t.Errorf("%d connections by %d addresses", n, len(corpus))
	}
	for _, address := range passed {
		if address != "8.8.8.8:443" {
			t.Errorf("the guard let %s through", address)
		}
	}
	if !slices.Contains(passed, "8.8.8.8:443") {
		t.Error("the control never passed: no address of the corpus was dialled")
	}
	t.Logf("0 connections by %d addresses", len(corpus))
	// The listener is really there.
	open := webfetch.New(webfetch.Config{Plain: true, Control: webfetch.Anywhere(), Timeout: 2 * time.Second})
	_, _ = open.Get(t.Context(), "http://127.0.0.1:"+port+"/", nil)
	if count.Load() == 0 {
		t.Error("control: the listener cannot be reached at all")
	}
}

// remote is an https server on loopback and a client that may reach it.
func remote(t *testing.T, h http.HandlerFunc, cfg webfetch.Config) (*webfetch.Client, string) {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	cfg.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	cfg.Control, cfg.Plain = webfetch.Anywhere(), true
	return webfetch.New(cfg), server.URL
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	c, base := remote(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
		w.WriteHeader(http.StatusFound)
	}, webfetch.Config{})
	answer, err := c.Get(t.Context(), base, nil)
	if err != nil || answer.Status != http.StatusFound || asked.Load() != 1 {
		t.Errorf("%+v, %v after %d requests", answer, err, asked.Load())
	}
}

func TestCaps(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	packed := gzip.NewWriter(&bomb)
	_, _ = packed.Write(make([]byte, 8<<20))
	_ = packed.Close()
	c, base := remote(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		case "/long":
			_, _ = w.Write(make([]byte, 1025))
		case "/fits":
			_, _ = w.Write(make([]byte, 1024))
		case "/slow":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/header":
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}
	}, webfetch.Config{MaxBytes: 1024, Timeout: 500 * time.Millisecond})
	for _, path := range []string{"/bomb", "/long"} {
		if _, err := c.Get(t.Context(), base+path, nil); !errors.Is(err, webfetch.ErrTooLarge) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if answer, err := c.Get(t.Context(), base+"/fits", nil); err != nil || len(answer.Body) != 1024 {
		t.Errorf("/fits: %d bytes, %v", len(answer.Body), err)
	}
	var late interface{ Timeout() bool }
	if _, err := c.Get(t.Context(), base+"/slow", nil); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("/slow: %v", err)
	}
	if _, err := c.Get(t.Context(), base+"/header", nil); err == nil {
		t.Error("/header: 1 MiB of header was taken")
	}
}

func TestHostsAndErrorsWithoutAddresses(t *testing.T) {
	t.Parallel()
	c := webfetch.New(webfetch.Config{Hosts: []string{"calendar.test"}, Resolver: resolver(t, map[string][][]string{
		"calendar.test": {{"127.0.0.1"}},
	})})
	for _, host := range []string{"other.test", "notcalendar.test", "calendar.test.evil.test"} {
		if _, err := c.Get(t.Context(), "https://"+host+"/", nil); !errors.Is(err, webfetch.ErrForbidden) {
			t.Errorf("%s: %v", host, err)
		}
	}
	_, err := c.Get(t.Context(), "https://calendar.test/private-0123/basic.ics", nil)
	if !errors.Is(err, webfetch.ErrForbidden) || strings.Contains(fmt.Sprint(err), "private-0123") {
		t.Errorf("a loopback address behind an allowed name: %v", err)
	}
}

func FuzzGuard(f *testing.F) {
	for _, text := range attacks()[:40] {
		f.Add(text)
	}
	guard := webfetch.Public()
	var through atomic.Pointer[string]
	c := webfetch.New(webfetch.Config{
		Timeout: time.Second,
		Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no look-ups here")
		}},
		Control: func(network, address string, conn syscall.RawConn) error {
			if guard(network, address, conn) == nil {
				through.Store(&address)
			}
			return errors.New("nothing is connected to")
		},
	})
	f.Fuzz(func(t *testing.T, text string) {
		through.Store(nil)
		if _, err := c.Get(t.Context(), text, nil); err == nil {
			t.Errorf("%q was answered", text)
		}
		if address := through.Load(); address != nil {
			addr := netip.MustParseAddrPort(*address).Addr()
			if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Is4In6() {
				t.Errorf("%q leads to %s", text, addr)
			}
		}
	})
}
