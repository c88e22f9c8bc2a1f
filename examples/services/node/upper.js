#!/usr/bin/node
// Answers each line in capital letters, as JSON with the number of its letters.
const lines = require("readline").createInterface({ input: process.stdin });
lines.on("line", (line) => console.log(JSON.stringify({ text: line.toUpperCase(), length: line.length })));
