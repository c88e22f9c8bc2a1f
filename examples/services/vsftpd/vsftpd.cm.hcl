policy { edition = 1 }

service "ftp" {
  listen  = ["tcp://:21"]
  command = ["/usr/sbin/vsftpd", "/etc/vsftpd.conf", "-oconnect_from_port_20=NO", "-olisten=NO", "-olisten_ipv6=NO", "-owrite_enable=YES", "-osyslog_enable=YES", "-osecure_chroot_dir=/run/vsftpd/empty"]
  user    = "root"
  acl     = acl.localhost
  profile = profile.ftpd
}
