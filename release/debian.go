package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// debArch are Debian's names of architectures by Go's.
var debArch = map[string]string{"amd64": "amd64", "arm64": "arm64", "arm": "armhf"}

// entry is a file of a package.
type entry struct {
	path    string // from the root, without a slash at the beginning
	mode    int64
	content []byte
}

// debian writes tses_VERSION_ARCH.deb of the programs that have been built, and
// returns its name.
func (r *release) debian(root, arch string) (string, error) {
	var files []entry
	for _, f := range []struct {
		from, to string
		mode     int64
	}{
		{filepath.Join(r.dir, "tses-linux-"+arch), "usr/bin/tses", 0o755},
		{filepath.Join(r.dir, "racs-linux-"+arch), "usr/bin/racs", 0o755},
		{filepath.Join(root, "packaging/systemd/tses.service"), "lib/systemd/system/tses.service", 0o644},
		{filepath.Join(root, "packaging/systemd/tses.sysusers"), "usr/lib/sysusers.d/tses.conf", 0o644},
		{filepath.Join(root, "packaging/systemd/README.md"), "usr/share/doc/tses/README.md", 0o644},
		{filepath.Join(root, "LICENSE"), "usr/share/doc/tses/copyright", 0o644},
	} {
		content, err := os.ReadFile(f.from)
		if err != nil {
			return "", err
		}
		if f.to == "lib/systemd/system/tses.service" {
			if content, err = inUsr(content); err != nil {
				return "", err
			}
		}
		files = append(files, entry{f.to, f.mode, content})
	}
	text, err := deb(debVersion(r.version), debArch[arch], files)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("tses_%s_%s.deb", debVersion(r.version), debArch[arch])
	return name, os.WriteFile(filepath.Join(r.dir, name), text, 0o644)
}

// inUsr is the unit for a program that is not in /usr/local, which is no
// package's.
func inUsr(unit []byte) ([]byte, error) {
	const local, own = "/usr/local/bin/tses", "/usr/bin/tses"
	if !bytes.Contains(unit, []byte("ExecStart="+local+" ")) {
		return nil, fmt.Errorf("tses.service does not start %s", local)
	}
	return bytes.ReplaceAll(unit, []byte(local), []byte(own)), nil
}

// debVersion is a version as Debian's policy, 5.6.12, wants it: it begins with a
// digit, and a hyphen would begin a revision of the packaging.
func debVersion(version string) string {
	v := strings.TrimPrefix(version, "v")
	if at := strings.Index(v, "-rc"); at >= 0 {
		v = v[:at] + "~" + v[at+1:] // below the release that it is a candidate of
	}
	v = strings.ReplaceAll(v, "-", "+")
	// A revision of the sources, of hex digits, may begin with one too, and would
	// be above every release.
	if v[0] < '0' || v[0] > '9' || !strings.Contains(v, ".") {
		v = "0~" + v
	}
	return v
}

const control = `Package: tses
Version: %s
Architecture: %s
Maintainer: The TSES authors <tses@localhost>
Installed-Size: %d
Section: net
Priority: optional
Recommends: systemd
Description: Trusted Secure Element Server and its client racs
 Hosts secure elements and lets people use them over mutually authenticated
 TLS (RACS). systemctl enable --now tses starts it; nothing does by itself.
`

// The scripts do nothing where there is no systemd, and start nothing: who
// installs it may want a configuration first.
const (
	postinst = `#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
	systemd-sysusers tses.conf
	systemctl daemon-reload
	systemctl try-restart tses.service
fi
`
	prerm = `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now tses.service
fi
`
)

// deb is a package of Debian's binary format 2.0 (deb(5)): an ar archive of a
// version, the control files and the content.
func deb(version, arch string, files []entry) ([]byte, error) {
	size := 0
	for _, f := range files {
		size += len(f.content)
	}
	data, err := tarball(files)
	if err != nil {
		return nil, err
	}
	about, err := tarball([]entry{
		{"control", 0o644, fmt.Appendf(nil, control, version, arch, (size+1023)/1024)},
		{"postinst", 0o755, []byte(postinst)},
		{"prerm", 0o755, []byte(prerm)},
	})
	if err != nil {
		return nil, err
	}
	return archive([]entry{
		{"debian-binary", 0o644, []byte("2.0\n")},
		{"control.tar.gz", 0o644, about},
		{"data.tar.gz", 0o644, data},
	}), nil
}

// archive is an ar archive in the common format: a header of 60 characters to
// each file, and an even length.
func archive(files []entry) []byte {
	b := []byte("!<arch>\n")
	for _, f := range files {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", f.path, 0, 0, 0, 0o100000|f.mode, len(f.content))
		b = append(b, f.content...)
		if len(f.content)%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

// tarball packs files and the directories above them, all of root's and of no
// time: the same files make the same bytes.
func tarball(files []entry) ([]byte, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	var made []string
	for _, f := range files {
		for _, dir := range above(f.path) {
			if slices.Contains(made, dir) {
				continue
			}
			made = append(made, dir)
			if err := w.WriteHeader(header("./"+dir+"/", 0o755, 0, tar.TypeDir)); err != nil {
				return nil, err
			}
		}
		if err := w.WriteHeader(header("./"+f.path, f.mode, int64(len(f.content)), tar.TypeReg)); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

func header(name string, mode, size int64, kind byte) *tar.Header {
	return &tar.Header{Name: name, Mode: mode, Size: size, Typeflag: kind, Uname: "root", Gname: "root", ModTime: time.Unix(0, 0), Format: tar.FormatGNU}
}

// above lists the directories above a file, the highest first.
func above(file string) (dirs []string) {
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		dirs = append([]string{dir}, dirs...)
	}
	return dirs
}
