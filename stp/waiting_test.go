package stp

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-of-se/tses/access"
)

// crowd is clients of several credentials that want sessions.
type crowd struct {
	t *testing.T
	*shares
	in      map[string][]*share // who has got in, by name, in their turn
	refused map[string]int
}

func newCrowd(t *testing.T, l Limits) *crowd {
	return &crowd{t: t, shares: newShares(l.withDefaults()), in: make(map[string][]*share), refused: make(map[string]int)}
}

// come lets n clients of a credential come. They may have to wait.
func (c *crowd) come(name string, planes access.Plane, n int) {
	for range n {
		go func() {
			sh, err := c.enter(c.t.Context(), &access.Credential{Name: name, Planes: planes}, nil)
			c.mu.Lock()
			defer c.mu.Unlock()
			if err != nil {
				if !errors.Is(err, ErrShare) {
					c.t.Errorf("%s: %v", name, err)
				}
				c.refused[name]++
				return
			}
			c.in[name] = append(c.in[name], sh)
		}()
		synctest.Wait()
	}
}

// ends ends a session of a credential.
func (c *crowd) ends(name string) {
	c.mu.Lock()
	sh := c.in[name][0]
	c.in[name] = c.in[name][1:]
	c.mu.Unlock()
	c.leave(&portion{shares: c.shares, share: sh})
	synctest.Wait()
}

func (c *crowd) expect(when string, in, refused map[string]int) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	got := make(map[string]int)
	for name, shares := range c.in {
		if len(shares) > 0 {
			got[name] = len(shares)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(in) || fmt.Sprint(c.refused) != fmt.Sprint(refused) {
		c.t.Errorf("%s: in %v, refused %v; want %v, %v", when, got, c.refused, in, refused)
	}
}

// empty checks that nothing is kept of anybody.
func (c *crowd) empty() {
	c.t.Helper()
	for name := range c.in {
		for len(c.in[name]) > 0 {
			c.ends(name)
		}
	}
	if len(c.of) > 0 || len(c.lines) > 0 || c.waits > 0 || c.sessions > 0 || c.turns[0].Len() > 0 || c.turns[1].Len() > 0 {
		c.t.Errorf("kept: %d credentials, %d lines, %d waiting, %d sessions", len(c.of), len(c.lines), c.waits, c.sessions)
	}
}

type counts = map[string]int

// Only some may wait. Of whom the most do, the newest goes for another's.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Limits{Sessions: 16, CredentialSessions: 2}) // 4 may wait
		c.come("greedy", access.User, 8)
		c.expect("alone", counts{"greedy": 2}, counts{"greedy": 2})
		c.come("bob", access.User, 3) // one waits
		c.expect("beside it", counts{"greedy": 2, "bob": 2}, counts{"greedy": 3})
		c.come("eve", access.User, 3)
		c.expect("a third", counts{"greedy": 2, "bob": 2, "eve": 2}, counts{"greedy": 4})
		c.come("bob", access.User, 1) // it would have no fewer then
		c.come("greedy", access.User, 1)
		c.expect("all have enough", counts{"greedy": 2, "bob": 2, "eve": 2}, counts{"greedy": 5, "bob": 1})
		for _, name := range []string{"greedy", "bob", "eve"} {
			c.ends(name)
		}
		c.expect("one of each goes", counts{"greedy": 2, "bob": 2, "eve": 2}, counts{"greedy": 5, "bob": 1})
		c.empty()
	})
}

// Where there is no place for anybody, those that come free go round the
// credentials, and the administrators' reserve is theirs.
func TestPlacesGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Limits{Sessions: 16, CredentialSessions: 14}) // one is the reserve
		c.come("first", access.User, 14)
		c.come("second", access.User, 1)
		c.come("greedy", access.User, 3)
		c.come("modest", access.User, 1)
		c.expect("full", counts{"first": 14, "second": 1}, counts{})
		c.ends("first")
		c.expect("a place", counts{"first": 13, "second": 1, "greedy": 1}, counts{})
		c.ends("first")
		c.expect("two places", counts{"first": 12, "second": 1, "greedy": 1, "modest": 1}, counts{})
		c.come("admin", access.Administrative, 2) // one waits
		c.expect("the reserve", counts{"first": 12, "second": 1, "greedy": 1, "modest": 1, "admin": 1}, counts{})
		c.ends("first")
		c.expect("before users", counts{"first": 11, "second": 1, "greedy": 1, "modest": 1, "admin": 2}, counts{})
		time.Sleep(2*shareStill + time.Second) // nobody goes
		c.expect("in vain", counts{"first": 11, "second": 1, "admin": 2, "greedy": 1, "modest": 1}, counts{"greedy": 2})
		c.empty()
	})
}

// All of a storm are served in their turn, with the limits as they are.
func TestStormOfOneCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Limits{})
		const n = 4000
		for range n {
			go func() {
				sh, err := c.enter(t.Context(), &access.Credential{Name: "alice", Planes: access.User}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(100 * time.Millisecond)
				c.leave(&portion{shares: c.shares, share: sh})
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		c.empty()
	})
}
