// WEBHOOK_SECRET=whsec_… go run receiver.go        (Go 1.19 or newer, and nothing else)
package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const maxBodyBytes = 10_000_000

var now = time.Now

// keysOf reads one secret, or two, separated by a space, while the key is rotated.
func keysOf(secrets string) ([][]byte, error) {
	var keys [][]byte
	for _, secret := range strings.Fields(secrets) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < 24 || !strings.HasPrefix(secret, "whsec_") {
			keys = nil
			break
		}
		keys = append(keys, key)
	}
	if keys == nil {
		return nil, errors.New("WEBHOOK_SECRET has to be the whsec_… that the forwarder signs with")
	}
	return keys, nil
}

var seconds = regexp.MustCompile(`^[0-9]{1,12}$`)

// verify says why a request is not genuine (Standard Webhooks 1.0.0), or returns nil.
func verify(header http.Header, body []byte, keys [][]byte) error {
	id, timestamp, signatures := header.Get("webhook-id"), header.Get("webhook-timestamp"), header.Get("webhook-signature")
	if id == "" || signatures == "" || !seconds.MatchString(timestamp) {
		return errors.New("webhook-id, webhook-timestamp or webhook-signature is missing")
	}
	signedAt, _ := strconv.ParseInt(timestamp, 10, 64)
	if age := now().Unix() - signedAt; age > 300 || age < -300 {
		return errors.New("webhook-timestamp is more than 5 minutes off")
	}
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for _, signature := range strings.Split(signatures, " ") {
			if hmac.Equal([]byte(signature), []byte(expected)) {
				return nil
			}
		}
	}
	return errors.New("no signature fits")
}

type event struct {
	Type string
	Data json.RawMessage
}

// Reading is what names a reading; raw is all of it, digit by digit.
type Reading struct {
	ID         string
	Device     string
	MeasuredAt string `json:"measured_at"`
	raw        json.RawMessage
}

// readingsOf takes a body apart, standard or CloudEvents, one or a batch; types that we do not know hold none.
func readingsOf(body []byte) ([]Reading, error) {
	var readings []Reading
	events, err := oneOrMany[event](body)
	for _, event := range events {
		kind := strings.TrimPrefix(event.Type, "ch.whatwatt.")
		if kind != "meter.reading" && kind != "meter.readings" {
			continue
		}
		raws, err := oneOrMany[json.RawMessage](event.Data)
		if err != nil {
			return nil, err
		}
		for _, raw := range raws {
			reading := Reading{raw: raw}
			if err := json.Unmarshal(raw, &reading); err != nil {
				return nil, err
			}
			readings = append(readings, reading)
		}
	}
	return readings, err
}

// oneOrMany parses a JSON list, or a single value as a list of one.
func oneOrMany[T any](text []byte) (several []T, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		err = json.Unmarshal(text, &several)
		return several, err
	}
	var one T
	err = json.Unmarshal(text, &one)
	return []T{one}, err
}

// Store appends readings to a file and knows their ids. In a database this is a unique key and "on conflict do nothing".
type Store struct {
	mutex sync.Mutex
	file  *os.File
	known map[string]bool
}

func open(path string) (*Store, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	store := &Store{file: file, known: map[string]bool{}}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxBodyBytes)
	for lines.Scan() {
		var reading Reading
		// A line that was cut off in a crash is no JSON: its reading was not answered, and comes again.
		if json.Unmarshal(lines.Bytes(), &reading) == nil {
			store.known[reading.ID] = true
		}
	}
	return store, lines.Err()
}

// keep writes those readings to disk that are new, and returns them.
func (store *Store) keep(readings []Reading) (unseen []Reading, err error) {
	store.mutex.Lock()
	defer store.mutex.Unlock()
	var lines []byte
	for _, reading := range readings {
		if !store.known[reading.ID] {
			unseen = append(unseen, reading)
			lines = append(append(lines, '\n'), reading.raw...)
		}
	}
	if _, err = store.file.Write(lines); err == nil {
		err = store.file.Sync()
	}
	if err != nil {
		return nil, err
	}
	for _, reading := range unseen {
		store.known[reading.ID] = true
	}
	return unseen, nil
}

func receive(keys [][]byte, store *Store) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		// As it came: parsed and written again it would not fit the signature.
		body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, maxBodyBytes))
		if err != nil {
			http.Error(response, "the body cannot be read, or is over 10 MB", http.StatusRequestEntityTooLarge)
			return
		}
		if err := verify(request.Header, body, keys); err != nil {
			http.Error(response, err.Error(), http.StatusUnauthorized)
			return
		}
		readings, err := readingsOf(body)
		if err == nil { // on disk before the answer: what is answered 2xx is not sent again
			readings, err = store.keep(readings)
		}
		if err != nil {
			log.Print(err)
			http.Error(response, "it could not be stored", http.StatusInternalServerError)
			return
		}
		for _, reading := range readings {
			fmt.Println(reading.ID, reading.Device, reading.MeasuredAt)
		}
		response.WriteHeader(http.StatusNoContent)
	}
}

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func main() {
	log.SetFlags(0)
	keys, err := keysOf(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	store, err := open(setting("STORE", "readings.jsonl"))
	if err != nil {
		log.Fatal(err)
	}
	address := "127.0.0.1:" + setting("PORT", "9000")
	server := http.Server{Addr: address, Handler: receive(keys, store), ReadTimeout: 10 * time.Second}
	fmt.Println("listening on http://" + address)
	log.Fatal(server.ListenAndServe())
}
