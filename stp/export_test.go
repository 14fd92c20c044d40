package stp

// For tests of the package from outside.
const (
	MostNoise    = mostNoise
	MostRefusals = mostRefusals
)

// Waiting is how many sessions wait for their share.
func (s *Server) Waiting() int {
	s.mu.Lock() // a session that is in has been so since Serve began
	defer s.mu.Unlock()
	s.shares.mu.Lock()
	defer s.shares.mu.Unlock()
	return s.shares.waits
}
