// Go's side of bench_core.py: goroutines on one processor, nanoseconds of wall time for one of
// each (nothing here waits), bytes for memory.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

const steps = 1000000
const spread = 4000

func residentBytes() float64 {
	var total, resident float64
	text, _ := os.ReadFile("/proc/self/statm")
	fmt.Sscan(string(text), &total, &resident)
	return resident * 4096
}

func hop(from, to chan int, done *sync.WaitGroup) {
	for i := 0; i < steps/2; i++ {
		to <- <-from
	}
	done.Done()
}

// handOver is a mutex that two goroutines queue for.
func handOver(mutex *sync.Mutex, done *sync.WaitGroup) {
	for i := 0; i < steps/2; i++ {
		mutex.Lock()
		runtime.Gosched()
		mutex.Unlock()
	}
	done.Done()
}

// choose selects of eight channels, into one of which another goroutine sends.
func choose(channels []chan int, done *sync.WaitGroup) {
	for i := 0; i < steps; i++ {
		select {
		case <-channels[0]:
		case <-channels[1]:
		case <-channels[2]:
		case <-channels[3]:
		case <-channels[4]:
		case <-channels[5]:
		case <-channels[6]:
		case <-channels[7]:
		}
	}
	done.Done()
}

func selectNs() float64 {
	var done sync.WaitGroup
	channels := make([]chan int, 8)
	for i := range channels {
		channels[i] = make(chan int, 1)
	}
	done.Add(1)
	started := time.Now()
	go choose(channels, &done)
	for i := 0; i < steps; i++ {
		channels[i%8] <- i
		runtime.Gosched()
	}
	done.Wait()
	return float64(time.Since(started).Nanoseconds()) / steps
}

func mutexNs() float64 {
	var done sync.WaitGroup
	var mutex sync.Mutex
	done.Add(2)
	started := time.Now()
	go handOver(&mutex, &done)
	go handOver(&mutex, &done)
	done.Wait()
	return float64(time.Since(started).Nanoseconds()) / steps
}

// spreadOver runs tasks of 20 us on so many processors.
func spreadOver(processors int) float64 {
	runtime.GOMAXPROCS(processors)
	var done sync.WaitGroup
	started := time.Now()
	for i := 0; i < spread; i++ {
		done.Add(1)
		go func() {
			for begun := time.Now(); time.Since(begun) < 20*time.Microsecond; {
			}
			done.Done()
		}()
	}
	done.Wait()
	return float64(time.Since(started).Nanoseconds()) / spread
}

func main() {
	runtime.GOMAXPROCS(1)
	var done sync.WaitGroup
	there, back := make(chan int, 1), make(chan int, 1)
	done.Add(2)
	started := time.Now()
	go hop(there, back, &done)
	go hop(back, there, &done)
	there <- 1
	done.Wait()
	hopNs := float64(time.Since(started).Nanoseconds()) / steps

	started = time.Now()
	joined := make(chan int)
	for i := 0; i < steps; i++ {
		go func() { joined <- 1 }()
		<-joined
	}
	spawnNs := float64(time.Since(started).Nanoseconds()) / steps
	mutex, selected := mutexNs(), selectNs()
	one, two := spreadOver(1), spreadOver(2)
	runtime.GOMAXPROCS(1)
	runtime.GC()

	before := residentBytes()
	for i := 0; i < steps; i++ {
		go func() { time.Sleep(time.Hour) }()
		if i%200 == 199 {
			runtime.Gosched()
		}
	}
	runtime.Gosched()
	bytes := (residentBytes() - before) / steps
	fmt.Printf("{\"channel_hop\": %.2f, \"await_resume\": %.2f, \"spawn_await\": %.2f, "+
		"\"mutex_hand_over\": %.2f, \"select\": %.2f, "+
		"\"spread_one\": %.2f, \"spread_two\": %.2f, "+
		"\"sleeping_bytes\": %.2f, \"version\": \"%s\"}\n",
		hopNs, hopNs, spawnNs, mutex, selected, one, two, bytes, strings.TrimPrefix(runtime.Version(), "go"))
}
