package durablehttp

import "net/netip"

// plain returns the address without a zone, and an IPv4 address as such.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// kind is a range of addresses that are not for everybody.
type kind struct {
	prefix netip.Prefix
	name   string
}

// kinds4 and kinds6 are what is not public unicast (the special-purpose registries
// of IANA, and one address that a cloud made special). An IPv6 address that stands
// for an IPv4 address is not looked through: it is refused whatever it stands for.
var (
	kinds4 = []kind{
		{netip.MustParsePrefix("0.0.0.0/8"), "unspecified, of this host (0.0.0.0/8)"},
		{netip.MustParsePrefix("10.0.0.0/8"), "private (10.0.0.0/8)"},
		{netip.MustParsePrefix("100.64.0.0/10"), "behind carrier-grade NAT (100.64.0.0/10)"},
		{netip.MustParsePrefix("127.0.0.0/8"), "loopback (127.0.0.0/8)"},
		{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's metadata service"},
		{netip.MustParsePrefix("169.254.0.0/16"), "link-local, where clouds keep their metadata (169.254.0.0/16)"},
		{netip.MustParsePrefix("172.16.0.0/12"), "private (172.16.0.0/12)"},
		{netip.MustParsePrefix("192.0.0.0/24"), "reserved (192.0.0.0/24)"},
		{netip.MustParsePrefix("192.0.2.0/24"), "for documentation (192.0.2.0/24)"},
		{netip.MustParsePrefix("192.88.99.0/24"), "for 6to4 relays (192.88.99.0/24)"},
		{netip.MustParsePrefix("192.168.0.0/16"), "private (192.168.0.0/16)"},
		{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks (198.18.0.0/15)"},
		{netip.MustParsePrefix("198.51.100.0/24"), "for documentation (198.51.100.0/24)"},
		{netip.MustParsePrefix("203.0.113.0/24"), "for documentation (203.0.113.0/24)"},
		{netip.MustParsePrefix("224.0.0.0/4"), "multicast (224.0.0.0/4)"},
		{netip.MustParsePrefix("240.0.0.0/4"), "reserved or broadcast (240.0.0.0/4)"},
	}
	kinds6 = []kind{
		{netip.MustParsePrefix("::/128"), "unspecified (::)"},
		{netip.MustParsePrefix("::1/128"), "loopback (::1)"},
		{netip.MustParsePrefix("64:ff9b::/96"), "an IPv4 address behind NAT64 (64:ff9b::/96)"},
		{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address behind NAT64 (64:ff9b:1::/48)"},
		{netip.MustParsePrefix("2001::/23"), "reserved, with Teredo (2001::/23)"},
		{netip.MustParsePrefix("2001:db8::/32"), "for documentation (2001:db8::/32)"},
		{netip.MustParsePrefix("2002::/16"), "an IPv4 address by 6to4 (2002::/16)"},
		{netip.MustParsePrefix("3fff::/20"), "for documentation (3fff::/20)"},
		{netip.MustParsePrefix("fc00::/7"), "unique local (fc00::/7)"},
		{netip.MustParsePrefix("fe80::/10"), "link-local (fe80::/10)"},
		{netip.MustParsePrefix("ff00::/8"), "multicast (ff00::/8)"},
	}
	public6 = netip.MustParsePrefix("2000::/3")
)

// special says what kind of address it is that is not public; "" if it is public.
func special(ip netip.Addr) string {
	ip = plain(ip)
	kinds := kinds6
	if ip.Is4() {
		kinds = kinds4
	}
	for _, k := range kinds {
		if k.prefix.Contains(ip) {
			return k.name
		}
	}
	if ip.Is6() && !public6.Contains(ip) {
		return "reserved (outside 2000::/3)"
	}
	return ""
}
