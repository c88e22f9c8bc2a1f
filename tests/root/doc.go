// Package root holds the end-to-end tests that need root: real services driven
// by their real clients under enforced profiles, and a broker that is flooded,
// starved, reloaded, lied to and killed.
package root
