using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Tests.Virtio.VhostUser;

/// <summary>What a test has a backend do instead of its answer.</summary>
internal enum Manner
{
    Answer,
    Silence,
    Close,
    WrongRequest,
    NoReplyFlag,
    ShortSize,
    HugeSize,
    HalfHeader,
    Refuse,
    ManyFiles,
    TwiceTheAnswer,
}

/// <summary>A vhost-user backend on a thread of its own, honest until told otherwise. It reaches guest memory by the descriptors that it was sent and nothing else, and gives every buffer back as it came.</summary>
internal sealed class TestBackend : IDisposable
{
    internal sealed class Vring
    {
        internal int Kick = -1, Call = -1, Error = -1;
        internal uint Size, Next;
        internal VhostUserVringAddress Address;
        internal bool Enabled;
    }

    private readonly Lock _lock = new();
    private readonly List<(VhostUserRegion Region, int File)> _memory = [];
    private readonly List<VhostUserRequest> _heard = [];
    private readonly Thread _thread;
    private int _listener = -1, _socket = -1, _requests = -1;
    private volatile bool _stopping;
    private volatile bool _drop;

    // What a device that looks for its next backend asks for at once is said here, before the thread begins.
    internal TestBackend(string? path = null, ulong? features = null)
    {
        if (features is { } f) Features = f;
        Path = path ?? System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"vu-{Guid.NewGuid():n}");
        _listener = HostSocket.Listen(Path);
        Assert.True(_listener >= 0);
        _thread = new Thread(Run) { IsBackground = true };
        _thread.Start();
    }

    internal string Path { get; }
    internal ulong Features { get; init; } = (ulong)(VirtioFeatures.Version1 | VirtioFeatures.RingIndirectDesc | VirtioFeatures.RingEventIdx) | (ulong)VhostUserFeatures.Protocol;
    internal VhostUserProtocol Protocol { get; init; } = (VhostUserProtocol)ulong.MaxValue & ~VhostUserProtocol.Inflight;
    internal byte[] Config { get; set; } = new byte[60];
    internal ulong MaxQueues { get; init; } = 8;
    internal Func<VhostUserRequest, Manner> Manners { get; init; } = static _ => Manner.Answer;
    /// <summary>Whether a head is given back; the others stay under way.</summary>
    internal Func<ushort, bool> Finishes { get; set; } = static _ => true;
    internal Vring[] Vrings { get; } = [new(), new(), new(), new()];
    /// <summary>Records of requests under way, by inode: given, and taken.</summary>
    internal List<ulong> Given { get; } = [];
    internal List<ulong> Received { get; } = [];
    internal List<ushort> Taken { get; } = [];
    internal ulong Accepted { get; private set; }
    internal int Connections { get; private set; }

    internal VhostUserRequest[] Heard
    {
        get
        {
            lock (_lock) return [.. _heard];
        }
    }

    internal VhostUserRegion[] Regions
    {
        get
        {
            lock (_lock) return [.. _memory.Select(static m => m.Region)];
        }
    }

    /// <summary>Guest memory as it reaches it.</summary>
    internal long Peek(ulong address)
    {
        lock (_lock) return Load<long>(address);
    }

    internal bool Serves(int queue)
    {
        lock (_lock) return Vrings[queue] is { Kick: >= 0, Enabled: true };
    }

    /// <summary>As if the process were killed, or its connection cut; it goes on listening.</summary>
    internal void Drop()
    {
        _drop = true;
        Assert.True(GuestDriver.Eventually(() => !_drop));
    }

    internal void AskConfigChanged(uint request = (uint)VhostUserBackendRequest.ConfigChanged, uint size = 0) =>
        Assert.Equal(12, SocketFiles.Send(_requests, Bytes(new VhostUserHeader { Request = request, Flags = 1, Size = size }), []));

    internal void SayUnasked() => Assert.Equal(4, SocketFiles.Send(_socket, [1, 2, 3, 4], []));

    internal void SignalError(int queue) => Assert.Equal(8, HostIo.Write(Vrings[queue].Error, BitConverter.GetBytes(1ul)));

    private static ReadOnlySpan<byte> Bytes<T>(in T value) where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value));

    private void Run()
    {
        while (!_stopping)
        {
            if (_drop) Forget();
            _ = HostIo.WaitAny([_listener, _socket, .. Vrings.Select(static v => v.Kick)], 5);
            lock (_lock)
            {
                if (_socket < 0) Accept();
                else Hear();
                foreach (Vring ring in Vrings) Move(ring);
            }
        }
        Forget();
    }

    private void Accept()
    {
        int fd = HostSocket.Accept(_listener);
        if (fd < 0) return;
        _socket = fd;
        Connections++;
    }

    private void Forget()
    {
        lock (_lock)
        {
            _drop = false;
            foreach (Vring ring in Vrings)
            {
                foreach (int fd in (int[])[ring.Kick, ring.Call, ring.Error]) Close(fd);
                (ring.Kick, ring.Call, ring.Error, ring.Enabled) = (-1, -1, -1, false);
            }
            foreach ((_, int file) in _memory) Close(file);
            _memory.Clear();
            Close(_requests);
            Close(_socket);
            (_socket, _requests) = (-1, -1);
        }
    }

    private static void Close(int fd)
    {
        if (fd >= 0) HostSocket.Close(fd);
    }

    private void Hear()
    {
        byte[] head = new byte[12], payload = new byte[512];
        int[] files = new int[SocketFiles.Max];
        int n = SocketFiles.Receive(_socket, head, files, out int count);
        if (n == -Libc.EAGAIN) return;
        if (n != 12)
        {
            Forget();
            return;
        }
        VhostUserHeader header = MemoryMarshal.Read<VhostUserHeader>(head);
        for (int at = 0; at < header.Size;)
        {
            n = SocketFiles.Receive(_socket, payload.AsSpan(at, (int)header.Size - at), new int[SocketFiles.Max], out _);
            if (n > 0) at += n;
        }
        _heard.Add((VhostUserRequest)header.Request);
        Obey(header, payload.AsSpan(0, (int)header.Size), files.AsSpan(0, count));
    }

    private void Obey(VhostUserHeader header, Span<byte> payload, Span<int> files)
    {
        VhostUserRequest request = (VhostUserRequest)header.Request;
        Manner manner = Manners(request);
        byte[]? answer = null;
        int file = -1;
        int queue = payload.Length >= 4 ? (int)(MemoryMarshal.Read<uint>(payload) & 3) : 0;
        switch (request)
        {
            case VhostUserRequest.GetFeatures: answer = BitConverter.GetBytes(Features); break;
            case VhostUserRequest.SetFeatures: Accepted = MemoryMarshal.Read<ulong>(payload); break;
            case VhostUserRequest.GetProtocolFeatures: answer = BitConverter.GetBytes((ulong)Protocol); break;
            case VhostUserRequest.GetQueueCount: answer = BitConverter.GetBytes(MaxQueues); break;
            case VhostUserRequest.SetMemTable: TakeMemory(payload, ref files); break;
            case VhostUserRequest.SetVringNum: Vrings[queue].Size = MemoryMarshal.Read<VhostUserVringState>(payload).Value; break;
            case VhostUserRequest.SetVringBase: Vrings[queue].Next = MemoryMarshal.Read<VhostUserVringState>(payload).Value; break;
            case VhostUserRequest.SetVringAddr: Vrings[queue].Address = MemoryMarshal.Read<VhostUserVringAddress>(payload); break;
            case VhostUserRequest.SetVringKick: Take(ref Vrings[queue].Kick, ref files); break;
            case VhostUserRequest.SetVringCall: Take(ref Vrings[queue].Call, ref files); break;
            case VhostUserRequest.SetVringError: Take(ref Vrings[queue].Error, ref files); break;
            case VhostUserRequest.SetVringEnable: Vrings[queue].Enabled = MemoryMarshal.Read<VhostUserVringState>(payload).Value != 0; break;
            case VhostUserRequest.SetBackendSocket: Take(ref _requests, ref files); break;
            case VhostUserRequest.GetConfig:
                answer = payload.ToArray();
                Config.CopyTo(answer, 12);
                break;
            case VhostUserRequest.GetInflight:
                file = MakeFile();
                Given.Add(Inode(file));
                answer = Bytes(MemoryMarshal.Read<VhostUserInflight>(payload) with { Length = 4096 }).ToArray();
                break;
            case VhostUserRequest.SetInflight: Received.Add(Inode(files[0])); break;
            case VhostUserRequest.GetVringBase:
                answer = Bytes(new VhostUserVringState { Queue = (uint)queue, Value = Vrings[queue].Next }).ToArray();
                Close(Vrings[queue].Kick);
                Vrings[queue].Kick = -1;
                break;
        }
        foreach (int left in files) Close(left);
        if (answer is null && (header.Flags & VhostUserConst.NeedReply) != 0) answer = BitConverter.GetBytes(manner == Manner.Refuse ? 1ul : 0ul);
        if (manner == Manner.Close) _drop = true;
        else if (answer is not null) Reply(header, answer, manner, file);
        Close(file);
    }

    private void Reply(VhostUserHeader question, byte[] answer, Manner manner, int file)
    {
        VhostUserHeader header = new() { Request = question.Request, Flags = (uint)(VhostUserConst.Version | VhostUserConst.Reply), Size = (uint)answer.Length };
        if (manner == Manner.WrongRequest) header.Request = 99;
        if (manner == Manner.NoReplyFlag) header.Flags = 1;
        if (manner == Manner.ShortSize) header.Size -= 1;
        if (manner == Manner.HugeSize) header.Size = uint.MaxValue;
        byte[] bytes = [.. Bytes(header), .. answer];
        if (manner == Manner.HalfHeader) bytes = bytes[..5];
        if (manner == Manner.TwiceTheAnswer) bytes = [.. bytes, .. bytes];
        int[] files = manner == Manner.ManyFiles ? [_socket, _socket, _socket, _socket] : file >= 0 ? [file] : [];
        if (manner != Manner.Silence) _ = SocketFiles.Send(_socket, bytes, files);
    }

    private void TakeMemory(ReadOnlySpan<byte> payload, ref Span<int> files)
    {
        foreach ((_, int old) in _memory) Close(old);
        _memory.Clear();
        ReadOnlySpan<VhostUserRegion> rows = MemoryMarshal.Cast<byte, VhostUserRegion>(payload[8..]);
        for (int i = 0; i < rows.Length; i++) _memory.Add((rows[i], files[i]));
        files = [];
    }

    private static void Take(ref int place, ref Span<int> files)
    {
        Close(place);
        place = files.IsEmpty ? -1 : files[0];
        if (!files.IsEmpty) files = files[1..];
    }

    private void Move(Vring ring)
    {
        if (ring.Kick < 0 || !ring.Enabled || _memory.Count == 0) return;
        _ = HostIo.Read(ring.Kick, new byte[8]);
        while ((ushort)ring.Next != Load<ushort>(ring.Address.Available + 2))
        {
            ushort head = Load<ushort>(ring.Address.Available + 4 + ring.Next++ % ring.Size * 2ul);
            Taken.Add(head);
            if (Finishes(head)) Finish(ring, head);
        }
    }

    private void Finish(Vring ring, ushort head)
    {
        ushort used = Load<ushort>(ring.Address.Used + 2);
        Store(ring.Address.Used + 4 + used % ring.Size * 8ul, new VirtqUsedElem { Id = head, Len = 0 });
        Store(ring.Address.Used + 2, (ushort)(used + 1));
        if (ring.Call >= 0) _ = HostIo.Write(ring.Call, BitConverter.GetBytes(1ul));
    }

    private static unsafe int MakeFile()
    {
        fixed (byte* name = "record\0"u8) return Libc.memfd_create(name, Libc.MFD_CLOEXEC);
    }

    private static unsafe ulong Inode(int file)
    {
        Libc.Stat status;
        Assert.Equal(0, Libc.fstat(file, &status));
        return status.Inode;
    }

    private unsafe T Load<T>(ulong address) where T : unmanaged
    {
        T value = default;
        (int file, long at) = Find(address);
        Assert.Equal(sizeof(T), (int)Libc.pread(file, &value, sizeof(T), at));
        return value;
    }

    private unsafe void Store<T>(ulong address, T value) where T : unmanaged
    {
        (int file, long at) = Find(address);
        Assert.Equal(sizeof(T), (int)Libc.pwrite(file, &value, sizeof(T), at));
    }

    private (int File, long At) Find(ulong address)
    {
        foreach ((VhostUserRegion region, int file) in _memory)
        {
            if (address - region.UserAddress < region.Length) return (file, (long)(address - region.UserAddress + region.Offset));
        }
        throw new InvalidOperationException($"0x{address:x} is in no region");
    }

    public void Dispose()
    {
        _stopping = true;
        _thread.Join();
        Close(_listener);
        HostSocket.Remove(Path);
    }
}
