// The encryption clients for Go: one JSON request a line on standard input, one JSON answer a line on standard output.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
)

// Keyring names the wrapping key; the Go clients know KMS only.
type Keyring struct {
	Kind string `json:"kind"`
	Arn  string `json:"arn"`
}

// Request is one line of the harness.
type Request struct {
	ID             int               `json:"id"`
	Op             string            `json:"op"`
	Client         string            `json:"client"`
	Endpoint       string            `json:"endpoint"`
	Bucket         string            `json:"bucket"`
	Key            string            `json:"key"`
	Keyring        Keyring           `json:"keyring"`
	Storage        string            `json:"storage"`
	Context        map[string]string `json:"context"`
	Metadata       map[string]string `json:"metadata"`
	Policy         string            `json:"policy"`
	LegacyContent  bool              `json:"legacy_content"`
	LegacyWrapping bool              `json:"legacy_wrapping"`
	File           string            `json:"file"`
	Range          string            `json:"range"`
	Suffix         string            `json:"suffix"`
	Padder         string            `json:"padder"`
}

// Answer goes back for each request.
type Answer struct {
	ID       int               `json:"id"`
	Ok       bool              `json:"ok"`
	Error    string            `json:"error,omitempty"`
	Size     int               `json:"size"`
	Sha256   string            `json:"sha256,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Client is what each generation of the library is reduced to.
type Client interface {
	Put(r Request, body []byte) error
	Get(r Request) ([]byte, map[string]string, error)
	Delete(r Request) error
}

func clientFor(r Request) (Client, error) {
	switch r.Client {
	case "go4":
		return newV4(r)
	case "go3":
		return newV3(r)
	case "gosdk1-v1-cbc", "gosdk1-v1-gcm", "gosdk1-v2":
		return newSdk1(r)
	}
	return nil, fmt.Errorf("unknown client %s", r.Client)
}

func handle(r Request, a *Answer) (err error) {
	defer func() {
		if crash := recover(); crash != nil {
			err = fmt.Errorf("panic: %v", crash)
		}
	}()
	client, err := clientFor(r)
	if err != nil {
		return err
	}
	switch r.Op {
	case "put":
		body, err := os.ReadFile(r.File)
		if err != nil {
			return err
		}
		return client.Put(r, body)
	case "get":
		body, metadata, err := client.Get(r)
		if err != nil {
			return err
		}
		digest := sha256.Sum256(body)
		a.Size, a.Sha256, a.Metadata = len(body), hex.EncodeToString(digest[:]), metadata
		return nil
	case "delete":
		return client.Delete(r)
	}
	return fmt.Errorf("unknown op %s", r.Op)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<24)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var request Request
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		// The libraries fetch instruction files with a client of their own, made from the environment.
		os.Setenv("AWS_ENDPOINT_URL_S3", request.Endpoint)
		answer := Answer{ID: request.ID}
		if err := handle(request, &answer); err != nil {
			answer.Error = err.Error()
		} else {
			answer.Ok = true
		}
		if err := out.Encode(answer); err != nil {
			os.Exit(1)
		}
	}
}
