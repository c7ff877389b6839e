using System.Runtime.InteropServices;
using System.Text;

namespace MicroVm.Kvm;

/// <summary>What the receiver of a tap's frames can take (TUN_F_*).</summary>
[Flags]
internal enum TapOffloads : uint
{
    None = 0,
    Checksum = 1,
    Tso4 = 2,
    Tso6 = 4,
    TsoEcn = 8,
}

/// <summary>A network interface of the host whose other end is this process: each read and write is one frame behind a virtio header of 12 bytes.</summary>
internal sealed unsafe class HostTap : IDisposable
{
    private const nuint TunSetIff = 0x400454ca, TunSetOffload = 0x400454d0, TunGetIff = 0x800454d2, TunSetHeaderSize = 0x400454d8, GetFlags = 0x8913;
    private const ushort Tap = 2, NoPacketInfo = 0x1000, VnetHeader = 0x4000;
    private const short InterfaceUp = 1;
    private const int NameSize = 16, FamilyInet = 2, SocketDatagram = 2;
    private const int FcntlGetFlags = 3, FcntlSetFlags = 4, FcntlDuplicate = 1030;

    private readonly bool _isTap;

    private HostTap(int fd, string name, bool isTap) => (Fd, Name, _isTap) = (fd, name, isTap);

    /// <summary>The descriptor, non-blocking; -1 after disposal.</summary>
    internal int Fd { get; private set; }

    /// <summary>The interface's name, for messages.</summary>
    internal string Name { get; }

    /// <summary>Whether the other end computes checksums and cuts segments; a socket does not.</summary>
    internal bool HasOffloads => _isTap;

    /// <summary>Opens an interface that exists.</summary>
    /// <exception cref="MicroVmException">There is none, it is no tap, it is in use, or this user may not have it.</exception>
    internal static HostTap Open(string name)
    {
        if (name.Length is 0 or >= NameSize || !Ascii.IsValid(name)) throw MicroVmException.Usage("not a name of an interface", $"tap={name}", "Give 1 to 15 characters, such as tap0");
        // The kernel makes a tap that does not exist, which would then have no address and nobody to talk to.
        if (!Exists(name)) throw MicroVmException.Host("no such tap", $"tap={name}", $"Make it: ip tuntap add {name} mode tap user $USER && ip addr add 10.0.0.1/24 dev {name} && ip link set {name} up");
        int fd = Libc.Open("/dev/net/tun", Libc.O_RDWR | Libc.O_NONBLOCK);
        if (fd < 0) throw NoDevice(Libc.Errno);
        Request request = new() { Flags = Tap | NoPacketInfo | VnetHeader };
        SetName(ref request, name);
        if (Libc.ioctl(fd, TunSetIff, &request) == 0) return Configure(new HostTap(fd, name, isTap: true));
        int error = Libc.Errno;
        _ = Libc.close(fd);
        throw MicroVmException.Host("cannot use the tap", $"tap={name}: {Libc.Describe(error)}", error switch
        {
            Libc.EPERM or Libc.EACCES => $"Make it yours: ip tuntap add {name} mode tap user $USER (as root), or run as root",
            Libc.EBUSY => "Another process uses it: stop that one, or give this machine a tap of its own",
            Libc.EINVAL => $"It is no tap, or one with multi_queue: make one with ip tuntap add {name} mode tap",
            _ => "Check it with ip -d link",
        });
    }

    /// <summary>Uses an open tap, or a socket that keeps packets apart. The descriptor is duplicated and stays the caller's.</summary>
    /// <exception cref="MicroVmException">It is not open, or a tap without IFF_VNET_HDR.</exception>
    internal static HostTap FromDescriptor(int given)
    {
        int fd = Libc.fcntl(given, FcntlDuplicate, 3);
        if (fd < 0) throw MicroVmException.Usage("not an open descriptor", $"fd={given}: {Libc.Describe(Libc.Errno)}", "Open the tap before this program is started and let it be inherited");
        _ = Libc.fcntl(fd, FcntlSetFlags, Libc.fcntl(fd, FcntlGetFlags, 0) | Libc.O_NONBLOCK);
        Request request = default;
        bool isTap = Libc.ioctl(fd, TunGetIff, &request) == 0;
        string name = isTap ? Marshal.PtrToStringUTF8((nint)request.Name) ?? "" : $"fd {given}";
        if (!isTap || (request.Flags & VnetHeader) != 0) return Configure(new HostTap(fd, name, isTap));
        _ = Libc.close(fd);
        throw MicroVmException.Usage("the tap has no virtio header", $"fd={given} ({name})", "Open it with IFF_VNET_HDR");
    }

    /// <summary>Says what may come in large or without a checksum; false if the host refuses.</summary>
    internal bool SetOffloads(TapOffloads offloads) => !_isTap ? offloads == TapOffloads.None : Libc.ioctl(Fd, TunSetOffload, (nint)offloads) == 0;

    /// <summary>Whether the interface is up; a socket is, as long as it is open.</summary>
    internal bool IsUp() => !_isTap || (Query(Name, out short flags) && (flags & InterfaceUp) != 0);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Fd >= 0) _ = Libc.close(Fd);
        Fd = -1;
    }

    private static HostTap Configure(HostTap tap)
    {
        int size = 12;
        if (!tap._isTap || Libc.ioctl(tap.Fd, TunSetHeaderSize, &size) == 0) return tap;
        int error = Libc.Errno;
        tap.Dispose();
        throw MicroVmException.Host("cannot use the tap", $"{tap.Name}: {Libc.Describe(error)}", "The host's kernel must have TUNSETVNETHDRSZ (2.6.36)");
    }

    private static bool Exists(string name) => Query(name, out _);

    private static bool Query(string name, out short flags)
    {
        flags = 0;
        int socket = Libc.socket(FamilyInet, SocketDatagram | Libc.O_CLOEXEC, 0);
        // Who may not have a socket is told by what comes next.
        if (socket < 0) return true;
        Request request = default;
        SetName(ref request, name);
        bool found = Libc.ioctl(socket, GetFlags, &request) == 0;
        _ = Libc.close(socket);
        flags = (short)request.Flags;
        return found;
    }

    private static MicroVmException NoDevice(int error) => MicroVmException.Refused(FailureKind.Host, "cannot open the tap driver", "/dev/net/tun", error, error switch
    {
        Libc.ENOENT or Libc.ENODEV => "Load it: modprobe tun",
        _ => "Give yourself access to it, or run as root",
    });

    // SAFETY: the name is shorter than the field, which the rest of fills with zeros.
    private static void SetName(ref Request request, string name)
    {
        for (int i = 0; i < name.Length; i++) request.Name[i] = (byte)name[i];
    }

    /// <summary><c>struct ifreq</c>.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 40)]
    private struct Request
    {
        [FieldOffset(0)] internal fixed byte Name[NameSize];
        [FieldOffset(16)] internal ushort Flags;
    }
}
