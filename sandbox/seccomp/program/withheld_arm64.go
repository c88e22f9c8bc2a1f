package program

var withheldHere []int
