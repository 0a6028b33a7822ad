package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

const (
	maxLine       = 1000
	maxMail       = 1 << 20
	maxRecipients = 100
)

// receiver takes mail.
type receiver struct {
	tlsConfig *tls.Config // nil: no STARTTLS
	deliver   func(mail)  // called on a loop
}

type mail struct {
	from string
	to   []string
	text string
	tls  bool
}

// conversation is one with a client.
type conversation struct {
	*receiver
	t         *ioloop.Task
	s         *iostream.Stream
	encrypted bool
	greeted   bool
	mail
}

// converse is a tcp.Server's Handler.
func (r *receiver) converse(t *ioloop.Task, s *iostream.Stream) error {
	c := &conversation{receiver: r, t: t, s: s}
	if err := c.reply("220 localhost ready"); err != nil {
		return err
	}
	for line, err := range s.Messages(t, iostream.Until("\r\n").Limit(maxLine)) {
		if err != nil {
			return err
		}
		verb, rest, _ := strings.Cut(string(line[:len(line)-2]), " ")
		if strings.EqualFold(verb, "QUIT") {
			return c.reply("221 bye")
		}
		if err := c.command(strings.ToUpper(verb), rest); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversation) reply(lines ...string) error {
	_, err := c.s.WriteString(strings.Join(lines, "\r\n") + "\r\n")
	return err
}

func (c *conversation) command(verb, rest string) error {
	switch {
	case verb == "EHLO" && c.tlsConfig != nil && !c.encrypted:
		c.greeted = true
		return c.reply("250-localhost", "250-PIPELINING", fmt.Sprintf("250-SIZE %d", maxMail), "250 STARTTLS")
	case verb == "EHLO":
		c.greeted = true
		return c.reply("250-localhost", "250-PIPELINING", fmt.Sprintf("250 SIZE %d", maxMail))
	case verb == "HELO":
		c.greeted = true
		return c.reply("250 localhost")
	case verb == "NOOP":
		return c.reply("250 ok")
	case verb == "RSET":
		c.mail = mail{}
		return c.reply("250 ok")
	case verb == "STARTTLS" && c.tlsConfig != nil && !c.encrypted:
		return c.startTLS()
	case verb == "MAIL" && c.greeted && c.from == "":
		return c.sender(rest)
	case verb == "RCPT" && c.from != "" && len(c.to) < maxRecipients:
		return c.recipient(rest)
	case verb == "DATA" && len(c.to) > 0:
		return c.data()
	case verb == "MAIL" || verb == "RCPT" || verb == "DATA":
		return c.reply("503 bad sequence of commands")
	}
	return c.reply("502 not implemented")
}

func (c *conversation) startTLS() error {
	if err := c.reply("220 go ahead"); err != nil {
		return err
	}
	if err := c.s.StartTLS(c.t, iostream.TLSServer(c.tlsConfig)); err != nil {
		return err // iostream.ErrEarlyPlaintext among them
	}
	c.encrypted, c.greeted, c.mail = true, false, mail{} // RFC 3207, section 4.2
	return nil
}

func (c *conversation) sender(rest string) error {
	from, ok := path(rest, "FROM:")
	if !ok {
		return c.reply("501 syntax: MAIL FROM:<address>")
	}
	c.mail = mail{from: from, tls: c.encrypted}
	return c.reply("250 ok")
}

func (c *conversation) recipient(rest string) error {
	to, ok := path(rest, "TO:")
	if !ok {
		return c.reply("501 syntax: RCPT TO:<address>")
	}
	c.to = append(c.to, to)
	return c.reply("250 ok")
}

// path takes the <address> out of the arguments of MAIL and RCPT.
func path(rest, keyword string) (string, bool) {
	if len(rest) < len(keyword) || !strings.EqualFold(rest[:len(keyword)], keyword) {
		return "", false
	}
	address, _, ok := strings.Cut(strings.TrimSpace(rest[len(keyword):]), ">")
	return address + ">", ok && strings.HasPrefix(address, "<")
}

// data reads the text line by line, up to the line with only a dot. A lone \n is part of a line,
// so nobody can hide a second mail behind one.
func (c *conversation) data() error {
	if err := c.reply("354 end with a dot"); err != nil {
		return err
	}
	var text strings.Builder
	tooMuch := false
	for {
		line, err := c.s.Read(c.t, iostream.Until("\r\n").Limit(maxMail))
		if err != nil {
			return err
		}
		if string(line) == ".\r\n" {
			break
		}
		line = bytes.TrimPrefix(line, []byte(".")) // RFC 5321, section 4.5.2
		if tooMuch = tooMuch || text.Len()+len(line) > maxMail; !tooMuch {
			text.Write(line)
		}
	}
	m := c.mail
	c.mail = mail{}
	if tooMuch {
		return c.reply("552 too much mail data")
	}
	m.text = text.String()
	c.deliver(m)
	return c.reply("250 ok")
}
