using System.Text;
using System.Text.Json.Nodes;
using MicroVm.Bus;
using MicroVm.Cli.Control;
using MicroVm.Devices;
using MicroVm.Hotplug;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Memory;
using Xunit;

namespace MicroVm.Cli.Tests;

/// <summary>A control server of this process, in front of a machine that has its parts but no vCPU: what clients do to
/// it needs no KVM.</summary>
internal sealed class ControlTarget : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("microvm-control-").FullName;
    private readonly Machine _machine = MakeMachine();
    private readonly ControlServer _server;

    internal ControlTarget()
    {
        Path = System.IO.Path.Combine(_folder, "s");
        _server = new ControlServer(_machine, Path);
    }

    internal string Path { get; }

    /// <summary>Memory of the guest that there is not: what a test wants to be found there.</summary>
    internal GuestMemory Memory => _machine.Parts.Memory;

    /// <summary>The machine was told to end.</summary>
    internal bool Stopped => _machine.Parts.End.Requested;

    internal ControlClient Connect() => new(Path);

    public void Dispose()
    {
        _server.Dispose();
        _machine.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static Machine MakeMachine()
    {
        OwnedParts owned = new();
        GuestMemory memory = owned.Add(
            GuestMemory.Allocate(4 << 20, MachineMap.LowMemory.End, MachineMap.HighMemory.Start));
        InterruptLine line = owned.Add(new InterruptLine(MachineMap.Ged.Irq));
        KvmVm none = new(-1, 0);
        InterruptRouter router = new(none, MachineMap.Ged.Irq + 1);
        router.Attach(line);
        return new Machine(new MachineParts
        {
            Owned = owned, End = new MachineEnd(), Vm = none, Memory = memory, Trace = new AccessTrace(),
            Ports = new AddressSpace("pio"), Mmio = new AddressSpace("mmio"), Router = router,
            Ged = new AcpiGed(line), Virtio = [], Pci = null, Hotplug = null, Slots = null,
            VcpuSet = new VcpuSet(static _ => throw new InvalidOperationException()), Cpus = null, Dimms = null,
            Serial = null, Console = null, ConsoleDevice = null, ConsolePorts = [],
        });
    }
}

/// <summary>One connection to it, by system calls: .NET's own sockets keep threads and descriptors, which are
/// counted.</summary>
internal sealed class ControlClient : IDisposable
{
    private const int Patience = 30_000;

    private readonly List<byte> _read = [];
    private int _fd;

    internal ControlClient(string path)
    {
        // It never waits: with so many at once the listener's backlog may be full.
        bool came = SpinWait.SpinUntil(() => (_fd = HostSocket.Connect(path)) != -Libc.EAGAIN, Patience);
        Assert.True(came && _fd >= 0, $"cannot connect: {_fd}");
    }

    /// <summary>Sends all of it; false if the server has closed the connection.</summary>
    internal bool Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int sent = HostSocket.Send(_fd, bytes);
            if (sent is -Libc.EPIPE or -Libc.ECONNRESET) return false;
            if (sent >= 0) bytes = bytes[sent..];
            else Assert.True(sent == -Libc.EAGAIN && HostIo.Wait(_fd, Libc.EPOLLOUT, Patience), $"cannot send: {sent}");
        }
        return true;
    }

    /// <summary>The next line without its end, or null where the server has closed the connection.</summary>
    internal string? ReadLine()
    {
        Span<byte> part = stackalloc byte[1024];
        while (true)
        {
            int end = _read.IndexOf((byte)'\n');
            if (end >= 0)
            {
                string line = Encoding.UTF8.GetString([.. _read[..end]]);
                _read.RemoveRange(0, end + 1);
                return line;
            }
            int count = HostIo.Read(_fd, part);
            if (count is 0 or -Libc.ECONNRESET) return null;
            if (count > 0) _read.AddRange(part[..count]);
            else Assert.True(count == -Libc.EAGAIN && HostIo.Wait(_fd, Libc.EPOLLIN, Patience), $"no answer: {count}");
        }
    }

    /// <summary>One request and its answer.</summary>
    internal JsonNode Ask(ReadOnlySpan<byte> request)
    {
        // The server may close in the middle of what is too long, after its answer.
        _ = Send([.. request, (byte)'\n']);
        return JsonNode.Parse(ReadLine() ?? throw new InvalidOperationException("no answer"))!;
    }

    internal JsonNode Ask(string request) => Ask(Encoding.UTF8.GetBytes(request));

    /// <summary>Whether it is served as ever.</summary>
    internal void Works() => Assert.True(Ask("""{"command":"info"}""")["ok"]!.GetValue<bool>());

    public void Dispose()
    {
        if (_fd >= 0) HostSocket.Close(_fd);
        _fd = -1;
    }
}
