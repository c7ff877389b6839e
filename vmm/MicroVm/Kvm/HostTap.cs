using System.Runtime.InteropServices;
using System.Text;
using MicroVm.Virtio.Net;

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
    Uso4 = 32,
    Uso6 = 64,
}

/// <summary>A network interface of the host whose other end is this process: each read and write is one frame behind a virtio header of 12 bytes.</summary>
internal sealed unsafe class HostTap : INetEnd
{
    private const nuint TunSetIff = 0x400454ca, TunSetOffload = 0x400454d0, TunSetQueue = 0x400454d9;
    private const nuint TunGetIff = 0x800454d2, TunSetHeaderSize = 0x400454d8;
    private const nuint GetFlags = 0x8913, GetIndex = 0x8933;
    private const ushort Tap = 2, NoPacketInfo = 0x1000, VnetHeader = 0x4000, MultiQueue = 0x100, AttachQueue = 0x200, DetachQueue = 0x400;
    private const short InterfaceUp = 1;
    private const int NameSize = 16, FamilyInet = 2, SocketDatagram = 2;
    private const int FcntlGetFlags = 3, FcntlSetFlags = 4;

    private readonly bool _isTap;
    // What the interface is known by: its name may change, and be given to another. 0 if it is not in this network
    // namespace.
    private readonly int _index;

    private HostTap(int fd, string name, bool isTap)
    {
        (Fd, Name, _isTap) = (fd, name, isTap);
        if (isTap && TryQuery(name, out int index, out _)) _index = index;
    }

    public int Fd { get; private set; }

    public string Name { get; }

    /// <summary>A socket's other end gets frames as they are: nobody is there to finish them.</summary>
    public bool HasOffloads => _isTap;

    public bool HasDatagramOffload { get; private set; }

    public bool HasFrame => false;

    public bool HasTail => false;

    /// <summary>Opens an interface that exists.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="queues">Queues of it, each of which is one of these objects.</param>
    /// <exception cref="MicroVmException">There is none, it is no tap, it has not so many queues, it is in use, or this user may not have it.</exception>
    internal static HostTap[] Open(string name, int queues)
    {
        if (name.Length is 0 or >= NameSize || !Ascii.IsValid(name)) throw MicroVmException.Usage("not a name of an interface", $"tap={name}", "Give 1 to 15 characters, such as tap0");
        // The kernel makes a tap that does not exist, which would then have no address and nobody to talk to.
        if (!Exists(name)) throw MicroVmException.Host("no such tap", $"tap={name}", $"Make it: {HowToMake(name, queues)} && ip addr add 10.0.0.1/24 dev {name} && ip link set {name} up");
        HostTap[] taps = new HostTap[queues];
        try
        {
            for (int i = 0; i < queues; i++) taps[i] = OpenQueue(name, queues);
        }
        catch
        {
            foreach (HostTap? tap in taps) tap?.Dispose();
            throw;
        }
        return taps;
    }

    private static HostTap OpenQueue(string name, int queues)
    {
        int fd = Libc.Open("/dev/net/tun", Libc.O_RDWR | Libc.O_NONBLOCK);
        if (fd < 0) throw NoDevice(Libc.Errno);
        Request request = new() { Flags = (ushort)(Tap | NoPacketInfo | VnetHeader | (queues > 1 ? MultiQueue : 0)) };
        SetName(ref request, name);
        int error = Libc.ioctl(fd, TunSetIff, &request) == 0 ? 0 : Libc.Errno;
        if (error == Libc.EINVAL && queues == 1)
        {
            // One that was made for several queues can be opened in no other way; one of them does.
            request.Flags |= MultiQueue;
            error = Libc.ioctl(fd, TunSetIff, &request) == 0 ? 0 : Libc.Errno;
        }
        if (error == 0) return Configure(new HostTap(fd, name, isTap: true));
        _ = Libc.close(fd);
        throw MicroVmException.Host("cannot use the tap", $"tap={name}: {Libc.Describe(error)}", error switch
        {
            Libc.EPERM or Libc.EACCES => $"Make it yours: {HowToMake(name, queues)} (as root), or run as root",
            Libc.EBUSY => "Another process uses it: stop that one, or give this machine a tap of its own",
            Libc.EINVAL => $"It is no tap{(queues > 1 ? " of several queues" : "")}: make one with {HowToMake(name, queues)}",
            Libc.E2BIG => "It has not so many queues: give fewer",
            _ => "Check it with ip -d link",
        });
    }

    private static string HowToMake(string name, int queues) => $"ip tuntap add {name} mode tap{(queues > 1 ? " multi_queue" : "")} user $USER";

    /// <summary>Uses open queues of one tap, or sockets that keep packets apart. The descriptors are duplicated and stay the caller's.</summary>
    /// <exception cref="MicroVmException">One is not open, or a tap without IFF_VNET_HDR; or they are not of one tap.</exception>
    internal static HostTap[] FromDescriptors(IReadOnlyList<int> given)
    {
        HostTap[] taps = new HostTap[given.Count];
        try
        {
            for (int i = 0; i < taps.Length; i++)
            {
                taps[i] = FromDescriptor(given[i]);
                if (taps[i]._isTap != taps[0]._isTap || (taps[i]._isTap && taps[i].Name != taps[0].Name)) throw MicroVmException.Usage("not queues of one tap", $"fd={given[0]}:{given[i]}", "Open one tap several times, with IFF_MULTI_QUEUE");
            }
        }
        catch
        {
            foreach (HostTap? tap in taps) tap?.Dispose();
            throw;
        }
        return taps;
    }

    private static HostTap FromDescriptor(int given)
    {
        int fd = Libc.fcntl(given, Libc.F_DUPFD_CLOEXEC, Libc.FirstFreeDescriptor);
        if (fd < 0) throw MicroVmException.NotOpen("fd", given, Libc.Errno, "Open the tap before this program is started and let it be inherited");
        _ = Libc.fcntl(fd, FcntlSetFlags, Libc.fcntl(fd, FcntlGetFlags, 0) | Libc.O_NONBLOCK);
        Request request = default;
        bool isTap = Libc.ioctl(fd, TunGetIff, &request) == 0;
        string name = isTap ? NameOf(request) : $"fd {given}";
        if (!isTap || (request.Flags & VnetHeader) != 0) return Configure(new HostTap(fd, name, isTap));
        _ = Libc.close(fd);
        throw MicroVmException.Usage("the tap has no virtio header", $"fd={given} ({name})", "Open it with IFF_VNET_HDR");
    }

    public int Receive(PacketVectors into) => into.Read(Fd) is var got and not 0 ? got : -Libc.EPIPE;

    public int Send(PacketVectors frame) => frame.Write(Fd);

    public int Flush() => 0;

    public bool SetOffloads(TapOffloads offloads) => !_isTap ? offloads == TapOffloads.None : Libc.ioctl(Fd, TunSetOffload, (nint)offloads) == 0;

    public void SetAttached(bool attached)
    {
        if (!_isTap) return;
        Request request = new() { Flags = attached ? AttachQueue : DetachQueue };
        _ = Libc.ioctl(Fd, TunSetQueue, &request);
    }

    public int State()
    {
        if (!_isTap) return HostIo.HasFailed(Fd) ? Libc.EBADFD : 0;
        Request request = default;
        if (Libc.ioctl(Fd, TunGetIff, &request) != 0) return Libc.EBADFD;
        // By the name that it has now. One that was moved to another namespace cannot be asked, and works; what has its
        // name here is another.
        bool here = TryQuery(NameOf(request), out int index, out short flags) && index == _index;
        return here && (flags & InterfaceUp) == 0 ? Libc.EIO : 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Fd >= 0) _ = Libc.close(Fd);
        Fd = -1;
    }

    private static HostTap Configure(HostTap tap)
    {
        int size = 12;
        if (!tap._isTap || Libc.ioctl(tap.Fd, TunSetHeaderSize, &size) == 0)
        {
            // Linux 6.2 and later; a driver says what of it is wanted.
            tap.HasDatagramOffload = tap._isTap && tap.SetOffloads(TapOffloads.Checksum | TapOffloads.Uso4 | TapOffloads.Uso6);
            _ = tap.SetOffloads(TapOffloads.None);
            return tap;
        }
        int error = Libc.Errno;
        tap.Dispose();
        throw MicroVmException.Host("cannot use the tap", $"{tap.Name}: {Libc.Describe(error)}", "The host's kernel must have TUNSETVNETHDRSZ (2.6.36)");
    }

    // Who may not have a socket is told by what comes next.
    private static bool Exists(string name) => TryQuery(name, out int index, out _) || index < 0;

    // Looks an interface of this namespace up; the index is -1 if nothing can be asked.
    private static bool TryQuery(string name, out int index, out short flags)
    {
        (index, flags) = (-1, 0);
        int socket = Libc.socket(FamilyInet, SocketDatagram | Libc.O_CLOEXEC, 0);
        if (socket < 0) return false;
        Request request = default;
        SetName(ref request, name);
        bool found = Libc.ioctl(socket, GetIndex, &request) == 0;
        index = found ? request.Index : 0;
        found = found && Libc.ioctl(socket, GetFlags, &request) == 0;
        flags = (short)request.Flags;
        _ = Libc.close(socket);
        return found;
    }

    private static string NameOf(in Request request)
    {
        fixed (byte* name = request.Name) return Marshal.PtrToStringUTF8((nint)name) ?? "";
    }

    private static MicroVmException NoDevice(int error) => MicroVmException.Refused(FailureKind.Host, "cannot open the tap driver", "/dev/net/tun", error, error switch
    {
        Libc.ENOENT or Libc.ENODEV => "Load it: modprobe tun",
        _ => "Give yourself access to it, or run as root",
    });

    // SAFETY: the name is shorter than the field, the rest of which is zero.
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
        [FieldOffset(16)] internal int Index;
    }
}
