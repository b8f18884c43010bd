// Command tlog checks a Cordon log with Go's own transparency log code (golang.org/x/mod/sumdb), and with nothing of Cordon's.
//
//	tlog tree FOLDER KEY.der      every leaf of a published tree, tile by tile, up to its signed checkpoint
//	tlog receipt FILE KEY.der     one record's receipt (C2SP tlog-proof)
//	tlog vkey FILE VKEY           a checkpoint by its Ed25519 signature alone, or by a witness's cosignature
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// verifier is signature type 0x02 of C2SP's signed-note, which x/mod leaves to its callers.
type verifier struct {
	name string
	hash uint32
	key  *ecdsa.PublicKey
}

func (v verifier) Name() string    { return v.name }
func (v verifier) KeyHash() uint32 { return v.hash }
func (v verifier) Verify(text, signature []byte) bool {
	digest := sha256.Sum256(text)
	return ecdsa.VerifyASN1(v.key, digest[:], signature)
}

// witness is signature type 0x04 of C2SP's signed-note, which x/mod leaves to its callers too.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	header := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(signature))
	return ed25519.Verify(w.key, append([]byte(header), text...), signature[8:])
}

// newWitness reads a verifier key of type 0x04.
func newWitness(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("not a verifier key")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, errors.New("not a witness's verifier key")
	}
	digest := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	hash := binary.BigEndian.Uint32(digest[:4])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return nil, errors.New("the key's id does not fit")
	}
	return witness{parts[0], hash, ed25519.PublicKey(key[1:])}, nil
}

// known opens a note by one verifier key, which x/mod reads by itself if it is an Ed25519 key of type 0x01.
func known(file, vkey string) error {
	signed, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		if verifier, err = newWitness(vkey); err != nil {
			return err
		}
	}
	_, err = note.Open(signed, note.VerifierList(verifier))
	return err
}

// open reads a signed checkpoint: the tree it is over.
func open(signed []byte, keyFile string) (tlog.Tree, error) {
	der, err := os.ReadFile(keyFile)
	if err != nil {
		return tlog.Tree{}, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return tlog.Tree{}, err
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return tlog.Tree{}, errors.New("not an ECDSA key")
	}
	origin := strings.SplitN(string(signed), "\n", 2)[0]
	digest := sha256.Sum256(der)
	known := note.VerifierList(verifier{origin, binary.BigEndian.Uint32(digest[:4]), key})
	opened, err := note.Open(signed, known)
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 {
		return tlog.Tree{}, errors.New("a checkpoint has three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// tiles reads tiles from a folder: x/mod names the height in their paths, C2SP does not.
type tiles struct{ folder string }

func (t tiles) Height() int                          { return 8 }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte)      {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		bytes, err := os.ReadFile(filepath.Join(t.folder, path(tile)))
		if err != nil {
			return nil, err
		}
		found = append(found, bytes)
	}
	return found, nil
}

func path(tile tlog.Tile) string {
	name := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
	return strings.Replace(name, "tile/data/", "tile/entries/", 1)
}

func tree(folder, keyFile string) (int64, error) {
	signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return 0, err
	}
	head, err := open(signed, keyFile)
	if err != nil {
		return 0, err
	}
	reader := tlog.TileHashReader(head, tiles{folder})
	for first := int64(0); first < head.N; first += 256 {
		width := head.N - first
		if width > 256 {
			width = 256
		}
		bundle, err := os.ReadFile(filepath.Join(folder, path(tlog.Tile{H: 8, L: -1, N: first / 256, W: int(width)})))
		if err != nil {
			return 0, err
		}
		for at := first; at < first+width; at++ {
			if len(bundle) < 2 {
				return 0, errors.New("a bundle of entries ends early")
			}
			length := int(binary.BigEndian.Uint16(bundle))
			if len(bundle) < 2+length {
				return 0, errors.New("an entry ends early")
			}
			leaf := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			// This reads the hash through the tiles, each of which is checked against the signed root.
			hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, at)})
			if err != nil {
				return 0, err
			}
			if hashes[0] != tlog.RecordHash(leaf) {
				return 0, fmt.Errorf("leaf %d is not the one in the tree", at)
			}
		}
		if len(bundle) != 0 {
			return 0, errors.New("a bundle of entries is too long")
		}
	}
	return head.N, nil
}

func receipt(file, keyFile string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parts := bytes.SplitN(text, []byte("\n\n"), 2)
	if len(parts) != 2 {
		return errors.New("a receipt has two parts")
	}
	head, err := open(parts[1], keyFile)
	if err != nil {
		return err
	}
	lines := strings.Split(string(parts[0]), "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a receipt")
	}
	leaf, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	return tlog.CheckRecord(proof, head.N, head.Hash, index, tlog.RecordHash(leaf))
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: tlog tree|receipt PATH KEY.der, or tlog vkey FILE VKEY")
		os.Exit(2)
	}
	var err error
	switch os.Args[1] {
	case "tree":
		var size int64
		if size, err = tree(os.Args[2], os.Args[3]); err == nil {
			fmt.Println(size, "leaves verified")
		}
	case "receipt":
		err = receipt(os.Args[2], os.Args[3])
	case "vkey":
		err = known(os.Args[2], os.Args[3])
	default:
		err = errors.New("tree, receipt or vkey?")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}
