using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Kvm;
using MicroVm.Memory;
using MicroVm.Virtio.Queue;

namespace MicroVm.Virtio.VhostUser;

/// <summary>An agreed session with a backend: what both can do, and the messages that start and stop queues. Doorbells and interrupts go past this process (docs/decisions/0071).</summary>
internal sealed class BackendSession : IDisposable
{
    /// <summary>Milliseconds for each of opening, starting and stopping.</summary>
    internal const int Patience = 5000;

    private readonly BackendLink _link;
    private readonly byte[] _config;

    /// <summary>Agrees with a backend, and owns the link from now on.</summary>
    /// <param name="link">Just connected.</param>
    /// <param name="wanted">Protocol features that this device has use for.</param>
    /// <param name="configSize">Bytes of configuration space that the backend has; 0 if this process has it.</param>
    /// <param name="patience">Milliseconds.</param>
    /// <exception cref="BackendException">It does not speak the protocol, or lacks what must be.</exception>
    internal BackendSession(BackendLink link, VhostUserProtocol wanted, int configSize, int patience = Patience)
    {
        (_link, _config, Allowed) = (link, new byte[configSize], patience);
        try
        {
            Agree(wanted | (configSize > 0 ? VhostUserProtocol.Config : 0));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Virtio features that it offers.</summary>
    internal ulong Features { get; private set; }

    /// <summary>Protocol features agreed on.</summary>
    internal VhostUserProtocol Protocol { get; private set; }

    /// <summary>Most queues it serves, if it says so.</summary>
    internal ulong MaxQueues { get; private set; } = ulong.MaxValue;

    /// <summary>The configuration space as it was last read.</summary>
    internal ReadOnlySpan<byte> Config => _config;

    /// <summary>Readable when the backend is gone.</summary>
    internal int Socket => _link.Fd;

    /// <summary>Readable when the backend has a request; -1 if it cannot have any.</summary>
    internal int Requests { get; private set; } = -1;

    private int Allowed { get; }

    private bool Enables => (Features & (ulong)VhostUserFeatures.Protocol) != 0;

    /// <summary>Gives it memory, rings and events: from now on it serves the queues.</summary>
    internal void Start(BackendRun run)
    {
        _link.Allow(Allowed);
        bool resumed = run.HasBegun;
        run.HasBegun = true;
        ulong features = (run.Features & Features) | (Enables ? (ulong)VhostUserFeatures.Protocol : 0);
        _link.Tell(VhostUserRequest.SetFeatures, features);
        SendMemory(run.Memory);
        if ((Protocol & VhostUserProtocol.Inflight) != 0) SendInflight(run);
        foreach (QueueSetup? queue in run.Queues)
        {
            if (queue is not null) StartQueue(queue, run, resumed);
        }
    }

    /// <summary>Takes the queues back. When this returns an honest backend touches neither guest memory nor events.</summary>
    internal void Stop(BackendRun run)
    {
        _link.Allow(Allowed);
        foreach (QueueSetup? queue in run.Queues)
        {
            if (queue is null) continue;
            VhostUserVringState state = new() { Queue = (uint)queue.Index };
            if (Enables) _link.Tell(VhostUserRequest.SetVringEnable, state);
            _ = _link.Ask<VhostUserVringState>(VhostUserRequest.GetVringBase, BackendLink.Bytes(in state));
        }
    }

    /// <summary>Guest memory is another than at the start of the run.</summary>
    internal void UpdateMemory(GuestMemory memory)
    {
        _link.Allow(Allowed);
        SendMemory(memory);
        // One that acknowledges nothing has heard of it when it answers what was asked after.
        if (!_link.Acknowledges) _ = _link.Ask<ulong>(VhostUserRequest.GetFeatures);
    }

    /// <summary>Reads the configuration space again.</summary>
    internal void ReadConfig()
    {
        _link.Allow(Allowed);
        FetchConfig();
    }

    /// <summary>Takes a request of the backend; true if its configuration changed.</summary>
    internal bool TakeRequest()
    {
        VhostUserHeader header = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<VhostUserHeader>(ref header));
        Span<int> files = stackalloc int[SocketFiles.Max];
        int n = SocketFiles.Receive(Requests, bytes, files, out int count);
        foreach (int file in files[..count]) HostSocket.Close(file);
        if (n == -Libc.EAGAIN) return false;
        // A backend that is gone closes both of its sockets, in any order.
        if (n <= 0) throw new BackendException(BackendLink.Gone);
        // The one request that was agreed to has no payload, and is too short to come in pieces.
        if (n != bytes.Length || header.Request != (uint)VhostUserBackendRequest.ConfigChanged || header.Size != 0)
            throw new BackendException($"asks for what was not agreed (request {header.Request}, {header.Size} bytes)");
        if ((header.Flags & (uint)VhostUserConst.NeedReply) != 0) Acknowledge(header.Request);
        return true;
    }

    /// <summary>The next time something arrives on the socket: what that means.</summary>
    internal BackendException Unexpected() => _link.Unexpected();

    public void Dispose()
    {
        _link.Dispose();
        if (Requests >= 0) HostSocket.Close(Requests);
        Requests = -1;
    }

    private void Agree(VhostUserProtocol wanted)
    {
        _link.Allow(Allowed);
        Features = _link.Ask<ulong>(VhostUserRequest.GetFeatures);
        if (Enables)
        {
            Protocol = (VhostUserProtocol)_link.Ask<ulong>(VhostUserRequest.GetProtocolFeatures) & (wanted | VhostUserProtocol.ReplyAck | VhostUserProtocol.MultiQueue);
            _link.Tell(VhostUserRequest.SetProtocolFeatures, (ulong)Protocol);
            _link.Acknowledges = (Protocol & VhostUserProtocol.ReplyAck) != 0;
        }
        if ((wanted & ~Protocol & VhostUserProtocol.Config) != 0) throw new BackendException("has no configuration space: it is no disk");
        if ((Protocol & VhostUserProtocol.MultiQueue) != 0) MaxQueues = _link.Ask<ulong>(VhostUserRequest.GetQueueCount);
        _link.Tell(VhostUserRequest.SetOwner, []);
        if ((Protocol & VhostUserProtocol.BackendRequests) != 0) SendSocket();
        if (_config.Length > 0) FetchConfig();
    }

    private void SendSocket()
    {
        if (SocketFiles.Pair(out int ours, out int theirs) is int error and < 0) throw new BackendException($"cannot be given a socket: {Libc.Describe(-error)}");
        Requests = ours;
        try
        {
            _link.Tell(VhostUserRequest.SetBackendSocket, [], theirs);
        }
        finally
        {
            HostSocket.Close(theirs);
        }
    }

    private void FetchConfig()
    {
        int head = Unsafe.SizeOf<VhostUserConfigHead>();
        Span<byte> message = stackalloc byte[head + _config.Length];
        message.Clear();
        VhostUserConfigHead question = new() { Size = (uint)_config.Length };
        MemoryMarshal.Write(message, in question);
        _link.Ask(VhostUserRequest.GetConfig, message, message);
        message[head..].CopyTo(_config);
    }

    // The addresses of this process are none of the backend's business: rings are named by their guest addresses, in both messages.
    private void SendMemory(GuestMemory memory)
    {
        ReadOnlySpan<MemoryRegion> regions = memory.Regions;
        if (regions.Length > VhostUserConst.MaxRegions) throw new BackendException("cannot be given memory of so many pieces");
        Span<byte> table = stackalloc byte[Unsafe.SizeOf<VhostUserMemoryHead>() + regions.Length * Unsafe.SizeOf<VhostUserRegion>()];
        Span<int> files = stackalloc int[regions.Length];
        VhostUserMemoryHead head = new() { Count = (uint)regions.Length };
        MemoryMarshal.Write(table, in head);
        Span<VhostUserRegion> rows = MemoryMarshal.Cast<byte, VhostUserRegion>(table[Unsafe.SizeOf<VhostUserMemoryHead>()..]);
        for (int i = 0; i < regions.Length; i++)
        {
            (files[i], ulong offset) = memory.FileOf(regions[i]);
            rows[i] = new VhostUserRegion { GuestAddress = regions[i].GuestAddress, Length = regions[i].Length, UserAddress = regions[i].GuestAddress, Offset = offset };
        }
        _link.Tell(VhostUserRequest.SetMemTable, table, files);
    }

    private void SendInflight(BackendRun run)
    {
        ushort largest = 0, count = 0;
        foreach (QueueSetup? queue in run.Queues)
        {
            count++;
            if (queue is not null) largest = Math.Max(largest, queue.Size);
        }
        if (run.Inflight is null)
        {
            VhostUserInflight question = new() { QueueCount = count, QueueSize = largest };
            VhostUserInflight answer = _link.AskForFile<VhostUserInflight>(VhostUserRequest.GetInflight, BackendLink.Bytes(in question), out int file);
            if (file < 0) throw new BackendException("gives no record of requests under way");
            run.Inflight = new InflightRecord(file, answer);
        }
        _link.Tell(VhostUserRequest.SetInflight, run.Inflight.Description, run.Inflight.File);
    }

    private void StartQueue(QueueSetup queue, BackendRun run, bool resumed)
    {
        uint index = (uint)queue.Index;
        _link.Tell(VhostUserRequest.SetVringNum, new VhostUserVringState { Queue = index, Value = queue.Size });
        ushort next = !resumed ? (ushort)0 : run.Inflight is null ? RingPosition.Rewind(queue) : queue.Used.LoadIndex(VirtqConst.RingIndex);
        _link.Tell(VhostUserRequest.SetVringBase, new VhostUserVringState { Queue = index, Value = next });
        _link.Tell(VhostUserRequest.SetVringAddr, new VhostUserVringAddress
        {
            Queue = index, Descriptors = queue.Request.Descriptors, Used = queue.Request.Used, Available = queue.Request.Available,
        });
        _link.Tell(VhostUserRequest.SetVringError, (ulong)index, run.Broken.Fd);
        _link.Tell(VhostUserRequest.SetVringCall, (ulong)index, run.Call(queue.Index).Fd);
        _link.Tell(VhostUserRequest.SetVringKick, (ulong)index, queue.Kick.Fd);
        if (Enables) _link.Tell(VhostUserRequest.SetVringEnable, new VhostUserVringState { Queue = index, Value = 1 });
        // What the driver offered while nobody was there, or to one that is gone, no doorbell announces again.
        if (resumed) queue.Kick.Signal();
    }

    private void Acknowledge(uint request)
    {
        Span<byte> answer = stackalloc byte[Unsafe.SizeOf<VhostUserHeader>() + sizeof(ulong)];
        answer.Clear();
        VhostUserHeader header = new() { Request = request, Flags = (uint)(VhostUserConst.Version | VhostUserConst.Reply), Size = sizeof(ulong) };
        MemoryMarshal.Write(answer, in header);
        _ = SocketFiles.Send(Requests, answer, []);
    }
}
