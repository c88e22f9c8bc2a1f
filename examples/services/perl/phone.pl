#!/usr/bin/perl
# A phone book: the lines of /srv/phone/book that hold the word asked for.
use strict;
use warnings;
use POSIX qw(strftime);

$| = 1;
my $word = <STDIN> // "";
$word =~ s/[^\w ]//g;
open(my $book, "<", "/srv/phone/book") or die "open the book: $!\n";
while (my $line = <$book>) {
    print $line if length $word && $line =~ /\Q$word\E/i;
}
print strftime("asked in %Y\n", gmtime);
