#!/bin/bash
# The baseline's DNS-01 hook: one dnsmasq per challenge, started by `present`, killed by `cleanup`.
#
# This is the arrangement the appliance replaces, written afresh for comparison; its limits are kept on purpose (one
# value at a time, nothing answers between challenges, a restart waits in steps of a second).
#
#   cert.sh present FQDN VALUE     serve FQDN as a zone of its own (SOA, NS, A and the TXT value); 0 once port 53 is bound
#   cert.sh cleanup FQDN VALUE     stop serving and delete the configuration; 0 even when nothing was running
#   cert.sh timeout                print the propagation timeout and interval a client may use (lego no longer asks)
#
# Environment:
#   CERT_RUN       directory of the pid file and the configuration (required; created when absent)
#   CERT_ADDRESS   address to listen on, and the zone's A record   (default 10.99.0.1)
#   CERT_PORT      port to listen on                               (default 53)
#   CERT_NS        host name of the zone's NS record               (default: FQDN itself, which has the A record)
#   CERT_TTL       TTL of every record, and the SOA's refresh      (default 600)
set -u

run=${CERT_RUN:?the directory for the pid file and the configuration}
address=${CERT_ADDRESS:-10.99.0.1}
port=${CERT_PORT:-53}
ttl=${CERT_TTL:-600}
pid_file=$run/dnsmasq.pid
configuration=$run/dnsmasq.conf

stop() {
    [ -f "$pid_file" ] || return 0
    local pid
    pid=$(cat "$pid_file")
    kill "$pid" 2>/dev/null
    if [ "${1:-}" = wait ]; then
        while kill -0 "$pid" 2>/dev/null; do sleep 1; done
    fi
    rm -f "$pid_file" "$configuration"
}

present() {
    local zone=$1 value=$2
    mkdir -p "$run"
    stop wait
    cat >"$configuration" <<END
user=$(id -un)
group=$(id -gn)
pid-file=$pid_file
port=$port
listen-address=$address
bind-interfaces
no-hosts
no-resolv
auth-server=${CERT_NS:-$zone},$address
auth-zone=$zone,$address/32
auth-soa=12345678,admin.$zone,$ttl
auth-ttl=$ttl
host-record=$zone,$address
txt-record=$zone,"$value"
END
    exec dnsmasq -C "$configuration"
}

verb=${1:-} name=${2:-}
name=${name#"*."}
name=${name%.}
case $verb in
    present) present "$name" "${3:?the TXT value}" ;;
    cleanup) stop ;;
    timeout) echo '{"timeout": 30, "interval": 5}' ;;
    *) echo "usage: cert.sh present|cleanup FQDN VALUE" >&2; exit 2 ;;
esac
