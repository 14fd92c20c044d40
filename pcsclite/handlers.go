package pcsclite

// handle answers one request. An error ends the session: the program, or what
// it sent, is beyond an answer.
func (c *session) handle(req request) error {
	switch req.cmd {
	case cmdVersion:
		return c.version(req.body)
	case cmdReaders, cmdArray:
		return c.readers()
	case cmdArraySize:
		return c.send(order.AppendUint32(nil, MaxReaders))
	case cmdWait:
		return c.wait()
	case cmdStopWait:
		if c.endWait(Success) || c.pending {
			c.pending = false
			return c.answer(waitBody{}, nil)
		}
		return nil // the change, or the cancel, was its answer
	case cmdReaderEvents:
		c.srv.mu.Lock()
		n := c.srv.plugs
		c.srv.mu.Unlock()
		return c.answer(eventsBody{Events: n}, nil)
	case cmdEstablish:
		return c.establish(req.body)
	case cmdRelease:
		return c.release(req.body)
	case cmdCancel:
		return c.cancel(req.body)
	case cmdConnect:
		return c.connect(req.body)
	}
	return c.onHandle(req)
}

// onHandle answers the requests that name a connection.
func (c *session) onHandle(req request) error {
	h := c.handles[order.Uint32(req.body)]
	switch req.cmd {
	case cmdReconnect:
		return c.reconnect(h, req.body)
	case cmdDisconnect:
		return c.disconnect(h, req.body)
	case cmdBegin, cmdStatus:
		return c.beginOrStatus(h, req)
	case cmdEnd:
		return c.end(h, req.body)
	case cmdTransmit:
		return c.transmit(h, req)
	case cmdControl:
		return c.control(h, req)
	}
	return c.attrib(h, req)
}

// The versions of the protocol that are spoken: 4:6 by the server alone.
const (
	major          = 4
	minMinor       = 4
	maxMinor       = 6
	maxMinorClient = 5
)

// version agrees on the program's version or proposes the newest that is
// spoken here; libpcsclite then asks for that one.
func (c *session) version(b []byte) error {
	var m versionBody
	if err := decode(b, &m); err != nil {
		return err
	}
	m.RV = uint32(Success)
	if m.Major != major || m.Minor < minMinor || m.Minor > maxMinor {
		m = versionBody{Major: major, Minor: maxMinor, RV: uint32(EServiceStopped)}
	}
	c.minor = m.Minor
	return c.answer(m, nil)
}

func (c *session) establish(b []byte) error {
	var m establishBody
	if err := decode(b, &m); err != nil {
		return err
	}
	const scopeGlobal = 3
	switch {
	case m.Scope > scopeGlobal:
		m.RV = uint32(EInvalidValue)
	case c.context != 0: // a connection has one; libpcsclite opens another
		m.RV = uint32(ENoMemory)
	default:
		c.context = c.srv.newContext(c)
		m.Context, m.RV = c.context, uint32(Success)
	}
	return c.answer(m, nil)
}

func (c *session) release(b []byte) error {
	var m releaseBody
	if err := decode(b, &m); err != nil {
		return err
	}
	m.RV = uint32(EInvalidHandle)
	if c.context != 0 && m.Context == c.context {
		c.cleanUp()
		m.RV = uint32(Success)
	}
	return c.answer(m, nil)
}

// cancel ends another context's wait for a change: SCardCancel comes on a
// connection of its own.
func (c *session) cancel(b []byte) error {
	var m handleBody
	if err := decode(b, &m); err != nil {
		return err
	}
	c.srv.mu.Lock()
	target := c.srv.contexts[m.Handle]
	c.srv.mu.Unlock()
	m.RV = uint32(EInvalidHandle)
	if target != nil {
		target.endWait(ECancelled)
		m.RV = uint32(Success)
	}
	return c.answer(m, nil)
}

func (c *session) connect(b []byte) error {
	var m connectBody
	if err := decode(b, &m); err != nil {
		return err
	}
	h, active, err := c.open(m)
	m.RV, m.Card, m.Active = uint32(codeOf(err)), 0, 0
	if err == nil {
		c.handles[h.id] = h
		m.Card, m.Active = h.id, uint32(active)
	}
	return c.answer(m, nil)
}

func (c *session) open(m connectBody) (*handle, Protocol, error) {
	if c.context == 0 || m.Context != c.context {
		return nil, 0, EInvalidHandle
	}
	if len(c.handles) >= maxHandles {
		return nil, 0, ENoMemory
	}
	r := c.srv.find(text(m.Reader[:]))
	if r == nil {
		return nil, 0, EUnknownReader
	}
	return r.connect(c.ctx, c.who, Share(m.Share), Protocol(m.Protocols))
}

func (c *session) reconnect(h *handle, b []byte) error {
	var m reconnectBody
	if err := decode(b, &m); err != nil {
		return err
	}
	m.RV, m.Active = uint32(EInvalidHandle), 0
	if h != nil {
		active, err := h.reader.reconnect(c.ctx, h, Share(m.Share), Protocol(m.Protocols), Disposition(m.Init))
		m.RV, m.Active = uint32(codeOf(err)), uint32(active)
	}
	return c.answer(m, nil)
}

func (c *session) disconnect(h *handle, b []byte) error {
	var m disconnectBody
	if err := decode(b, &m); err != nil {
		return err
	}
	m.RV = uint32(EInvalidHandle)
	if h != nil {
		err := h.reader.disconnect(c.ctx, h, Disposition(m.Disposition))
		if err == nil {
			delete(c.handles, h.id)
		}
		m.RV = uint32(codeOf(err))
	}
	return c.answer(m, nil)
}

func (c *session) beginOrStatus(h *handle, req request) error {
	var m handleBody
	if err := decode(req.body, &m); err != nil {
		return err
	}
	m.RV = uint32(EInvalidHandle)
	if h != nil {
		err := error(nil)
		if req.cmd == cmdBegin {
			err = h.reader.begin(c.ctx, h)
		} else if err = h.reader.usable(c.ctx, h); err == nil {
			c.srv.mu.Unlock()
		}
		m.RV = uint32(codeOf(err))
	}
	return c.answer(m, nil)
}

func (c *session) end(h *handle, b []byte) error {
	var m disconnectBody
	if err := decode(b, &m); err != nil {
		return err
	}
	m.RV = uint32(EInvalidHandle)
	if h != nil {
		m.RV = uint32(codeOf(h.reader.end(c.ctx, h, Disposition(m.Disposition))))
	}
	return c.answer(m, nil)
}

func (c *session) transmit(h *handle, req request) error {
	var m transmitBody
	if err := decode(req.body, &m); err != nil {
		return err
	}
	room := m.RecvLen
	var response []byte
	err := error(EInvalidHandle)
	if h != nil {
		response, err = h.reader.transmit(c.ctx, h, Protocol(m.SendProtocol), req.payload)
	}
	m.RecvLen = uint32(len(response))
	if err == nil && m.RecvLen > room {
		err = EInsufficientBuf
	}
	if err != nil {
		response = nil
	}
	m.RV = uint32(codeOf(err))
	return c.answer(m, response)
}

func (c *session) control(h *handle, req request) error {
	var m controlBody
	if err := decode(req.body, &m); err != nil {
		return err
	}
	var out []byte
	err := error(EInvalidHandle)
	if h != nil {
		out, err = h.reader.control(c.ctx, h, m.Code)
	}
	m.Returned = uint32(len(out))
	if err == nil && m.Returned > m.RecvLen {
		err, out = EInsufficientBuf, nil
	}
	m.RV = uint32(codeOf(err))
	return c.answer(m, out)
}

func (c *session) attrib(h *handle, req request) error {
	var m attribBody
	if err := decode(req.body, &m); err != nil {
		return err
	}
	room := m.Len
	m.Value, m.Len = [MaxAttr]byte{}, 0
	var value []byte
	err := error(EInvalidHandle)
	if h != nil {
		err = EUnsupported // nothing can be set
		if req.cmd == cmdGetAttrib {
			value, err = h.reader.attrib(c.ctx, h, Attribute(m.ID))
		}
	}
	if err == nil {
		if m.Len = uint32(len(value)); m.Len > room {
			err = EInsufficientBuf
		} else {
			copy(m.Value[:], value)
		}
	}
	m.RV = uint32(codeOf(err))
	return c.answer(m, nil)
}
