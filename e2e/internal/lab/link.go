package lab

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
)

// socket is the name of PostgreSQL's socket in its directory.
const socket = ".s.PGSQL.5432"

// Link stands between replicas and PostgreSQL and loses answers: a COMMIT happens, and the client is cut off before it hears
// of it. It is written for that one fault because the private server listens on a unix socket, and because the fault must
// hit the answer of a COMMIT, not any bytes.
type Link struct {
	// Lost counts the answers lost so far.
	Lost atomic.Int64

	dir, target string
	perMille    atomic.Int64
	listener    net.Listener
}

// newLink listens in a directory of its own for clients of the server in dir. It loses nothing until Lose.
func newLink(ctx context.Context, dir string) (*Link, error) {
	l := &Link{target: filepath.Join(dir, socket)}
	var err error
	if l.dir, err = os.MkdirTemp("", "rel-link-"); err != nil {
		return nil, fmt.Errorf("link to postgres: %w", err)
	}
	if l.listener, err = (&net.ListenConfig{}).Listen(ctx, "unix", filepath.Join(l.dir, socket)); err != nil {
		return nil, errors.Join(fmt.Errorf("link to postgres: %w", err), os.RemoveAll(l.dir))
	}
	go l.serve()
	return l, nil
}

// Lose sets the share of COMMITs whose answer is lost from now on.
func (l *Link) Lose(share float64) { l.perMille.Store(int64(share * 1000)) }

// Close ends the link; connections end with their clients.
func (l *Link) Close() error { return errors.Join(l.listener.Close(), os.RemoveAll(l.dir)) }

func (l *Link) serve() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		go l.carry(client)
	}
}

// carry copies both ways until either side ends, or an answer is lost.
func (l *Link) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", l.target)
	if err != nil {
		return // the server is away; the client hears that its connection ended
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_ = l.answers(client, bufio.NewReader(server))
}

// answers passes the server's messages on: a type, a length that counts itself, and the rest.
func (l *Link) answers(client io.Writer, server *bufio.Reader) error {
	var head [5]byte
	for {
		if _, err := io.ReadFull(server, head[:]); err != nil {
			return err
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, rest); err != nil {
			return err
		}
		//nolint:gosec // the fault is drawn, nothing is kept secret by it
		if head[0] == 'C' && string(rest) == "COMMIT\x00" && rand.Int64N(1000) < l.perMille.Load() {
			l.Lost.Add(1)
			return nil
		}
		if _, err := client.Write(append(head[:], rest...)); err != nil {
			return err
		}
	}
}
