using MicroVm.Devices;
using MicroVm.Diagnostics;
using MicroVm.Events;
using MicroVm.Hotplug;
using MicroVm.Kvm;
using MicroVm.Pci;
using MicroVm.Virtio;
using MicroVm.Virtio.Block;
using MicroVm.Virtio.Pci;

namespace MicroVm;

/// <summary>One virtual machine: made by <see cref="Create"/>, run once, ended by its guest or by
/// <see cref="Stop(string)"/>. Several may live in one process.</summary>
/// <example><code>
/// await using Machine machine = Machine.Create(new MachineOptions { Kernel = "vmlinuz", Initrd = "initrd", Serial = ConsoleEndpoint.StandardIo });
/// MachineResult end = await machine.RunAsync();
/// </code></example>
public sealed partial class Machine : IDisposable, IAsyncDisposable
{
    private static readonly TimeSpan LookTime = TimeSpan.FromSeconds(1);
    // For the output of a machine that was told to stop: whoever said so does not wait longer.
    private const int LastWordsMilliseconds = 2000;

    private readonly MachineParts _parts;
    // Held while vCPU 0 runs on its caller's thread: what it uses goes only when it has left.
    private readonly Lock _running = new();
    private int _started;
    private long _startedAt;
    private volatile bool _disposed;
    // When it was first told to stop, in milliseconds; 0 if it was not.
    private long _stopped;

    internal Machine(MachineParts parts)
    {
        _parts = parts;
        parts.End.OnEnd(KickAll);
    }

    /// <summary>The parts, for <c>explain</c>, benchmarks and tests.</summary>
    internal MachineParts Parts => _parts;

    /// <summary>Builds the machine up to its first instruction.</summary>
    /// <exception cref="MicroVmException">Something that <paramref name="options"/> names cannot be used, or the host refused.</exception>
    public static Machine Create(MachineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return new MachineBuilder(options).Build();
    }

    /// <summary>The guest's serial port as a stream, with <see cref="ConsoleEndpoint.Stream"/>.</summary>
    public Stream SerialStream => _parts.Serial?.Stream ?? throw new InvalidOperationException("Serial is not ConsoleEndpoint.Stream");

    /// <summary>The guest's virtio console as a stream, with <see cref="ConsoleEndpoint.Stream"/>.</summary>
    public Stream ConsoleStream => _parts.Console?.Stream ?? throw new InvalidOperationException("Console is not ConsoleEndpoint.Stream");

    /// <summary>Runs until the machine ends; vCPU 0 runs on the calling thread. One that was disposed before it began has been stopped.</summary>
    /// <exception cref="InvalidOperationException">It has run already.</exception>
    public MachineResult Run()
    {
        if (Interlocked.Exchange(ref _started, 1) != 0) throw new InvalidOperationException("a machine runs once");
        Volatile.Write(ref _startedAt, Environment.TickCount64);
        lock (_running) return _disposed ? _parts.End.Outcome : RunVcpus();
    }

    private MachineResult RunVcpus()
    {
        _parts.Serial?.Start();
        _parts.Console?.Start();
        foreach (ConsoleAttachment port in _parts.ConsolePorts) port.Start();
        foreach (Vcpu vcpu in _parts.Vcpus.AsSpan(1)) vcpu.Start();
        Timeline.Mark("run");
        _parts.Vcpus[0].Run();
        foreach (Vcpu vcpu in _parts.Vcpus.AsSpan(1)) vcpu.Join();
        Left?.Invoke();
        Timeline.Mark("end");
        return _parts.End.Outcome with { LostOutput = FinishOutput() };
    }

    // Readers that read are waited for, however slow they are; one that does not, for the time that the options say.
    private long FinishOutput()
    {
        ConsoleAttachment[] ends = [.. _parts.Attachments];
        long least = long.MaxValue, progress = 0;
        while (true)
        {
            // Still on the thread to which signals of the process go.
            _parts.Vcpus[0].ServeSignals();
            long left = _parts.Log?.Push() ?? 0, now = Environment.TickCount64, stopped = Volatile.Read(ref _stopped);
            foreach (ConsoleAttachment end in ends) left += end.Output.Push();
            if (left < least) (least, progress) = (left, now);
            bool hurried = stopped != 0 && now - stopped > LastWordsMilliseconds;
            if (left == 0 || hurried || now - progress > _parts.OutputPatience.TotalMilliseconds) break;
            Thread.Sleep(1);
        }
        return ends.Sum(static end => end.Finish());
    }

    /// <summary>Runs on a thread of its own. Cancelling stops the guest; the result then says <see cref="EndReason.Stopped"/>.</summary>
    public async Task<MachineResult> RunAsync(CancellationToken cancellation = default)
    {
        using CancellationTokenRegistration registration = cancellation.Register(() => Stop("cancelled"));
        return await Task.Factory.StartNew(Run, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
    }

    /// <summary>Ends the guest at once, as if its power were cut; from any thread, more than once, before or after the start.</summary>
    /// <param name="why">For the result's description.</param>
    public void Stop(string why) => Stop(why, MachineResult.StoppedCode);

    /// <summary>The same with an exit code that says by what.</summary>
    internal void Stop(string why, int code)
    {
        _ = Interlocked.CompareExchange(ref _stopped, Environment.TickCount64, 0);
        _parts.End.Set(new MachineResult(EndReason.Stopped, code, why, null));
    }

    /// <summary>Presses the power button: a guest with an ACPI button driver shuts itself down.</summary>
    public void PressPowerButton() => _parts.Ged.PressPowerButton();

    /// <summary>The devices that the guest has now; from any thread.</summary>
    public IReadOnlyList<DeviceInfo> Devices
    {
        get
        {
            List<DeviceInfo> devices = [];
            foreach (VirtioMmio mmio in _parts.Virtio)
                devices.Add(Describe(mmio.Device, mmio.Device.Name, $"virtio-mmio[{devices.Count}]"));
            foreach (PciFunction function in _parts.Pci?.Root.Functions ?? []) devices.Add(Describe(function));
            foreach (Dimm dimm in _parts.Dimms?.Present ?? []) devices.Add(Describe(dimm));
            return devices;
        }
    }

    /// <summary>Makes a disk larger, or takes over the size that its file was given from outside, and tells the guest; from any thread.</summary>
    /// <param name="id">Its name (<see cref="VirtioOptions.Id"/>).</param>
    /// <param name="bytes">The new size, or null.</param>
    /// <exception cref="MicroVmException">There is no such disk, it would become smaller, or the host refused.</exception>
    public void ResizeDisk(string id, ulong? bytes)
    {
        lock (_changing)
        lock (_parts.Hotplug?.Topology ?? _changing)
        {
            foreach (VirtioDevice device in VirtioDevices())
            {
                if (device.Id != id) continue;
                if (device is not VirtioBlockDevice disk) throw MicroVmException.Usage("only a disk is resized", $"{id} is a {device.Name}", "Give the id of a disk");
                disk.Resize(bytes);
                return;
            }
        }
        throw MicroVmException.Usage("no such disk", id, "Name disks with --disk path=F,id=NAME");
    }

    private IEnumerable<VirtioDevice> VirtioDevices()
    {
        foreach (VirtioMmio mmio in _parts.Virtio) yield return mmio.Device;
        foreach (PciFunction function in _parts.Pci?.Root.Functions ?? [])
        {
            if (function is VirtioPciFunction virtio) yield return virtio.Common.Core.Device;
        }
    }

    /// <summary>What the user calls it (<see cref="MachineOptions.Name"/>), or null.</summary>
    public string? Name => _parts.Name;

    /// <summary>Time since <see cref="Run"/> was called; zero before. From any thread.</summary>
    public TimeSpan Uptime => Volatile.Read(ref _startedAt) is var at and not 0
        ? TimeSpan.FromMilliseconds(Environment.TickCount64 - at) : TimeSpan.Zero;

    /// <summary>In words: not started, running, ended. From any thread.</summary>
    internal string State => _parts.End.Requested ? "ended" : Volatile.Read(ref _started) != 0 ? "running"
        : "not started";

    /// <summary>vCPUs that there are.</summary>
    public int Cpus => _parts.Cpus?.Count ?? _parts.Vcpus.Length;

    /// <summary>vCPUs that there may be.</summary>
    public int PossibleCpus => _parts.Cpus?.Most ?? _parts.Vcpus.Length;

    /// <summary>Bytes of guest memory.</summary>
    public ulong MemoryBytes => _parts.Memory.Size;

    /// <summary>Times that a vCPU left the guest for this process so far, all vCPUs together; from any thread.</summary>
    public long Exits => _parts.Vcpus.Sum(static vcpu => vcpu.Exits);

    /// <summary>The whole picture of the machine as it is now, a section for each subject; from any thread, while the guest runs or before.</summary>
    internal List<Diagnostics.Explain.Section> Explain() =>
        Steady(() => Diagnostics.Explain.MachinePicture.Of(_parts, State, Devices));

    /// <summary>The way of an address to the host's memory, step by step; as <see cref="Explain()"/>.</summary>
    /// <param name="space">What it is an address of: <c>gva</c>, <c>gpa</c> or <c>iova</c>; <c>aml</c> for the tables of AML instead.</param>
    /// <param name="address">The address.</param>
    /// <param name="cpu">With <c>gva</c>: the vCPU whose page tables count.</param>
    /// <exception cref="MicroVmException">There is no such vCPU, no assigned device, or the vCPU does not answer.</exception>
    internal List<Diagnostics.Explain.Section> Explain(string space, ulong address, int cpu)
    {
        if (space == "gva" && (cpu < 0 || cpu >= Cpus))
            throw MicroVmException.Usage("no such vCPU", $"{cpu}", $"Use 0 to {Cpus - 1}");
        return Steady(() => space switch
        {
            "gva" => Diagnostics.Explain.AddressPicture.OfVirtual(_parts, address, _parts.Vcpus[cpu]),
            "gpa" => Diagnostics.Explain.AddressPicture.OfPhysical(_parts, address),
            "iova" => Diagnostics.Explain.AddressPicture.OfDevice(_parts, address),
            _ => Diagnostics.Explain.AcpiPicture.Aml(_parts.Memory),
        });
    }

    // Nothing is plugged in or out meanwhile; what goes out may take as long as its host takes.
    private T Steady<T>(Func<T> look)
    {
        if (_parts.Hotplug is not { } hotplug) return look();
        if (!hotplug.Topology.TryEnter(LookTime)) throw MicroVmException.Host("the machine is busy",
            "a device comes or goes", "Try again; 'microvm ctl NAME list' shows which are there");
        try
        {
            return look();
        }
        finally
        {
            hotplug.Topology.Exit();
        }
    }

    /// <summary>Takes the monitor's own keys out of what is typed for the guest; before <see cref="Run"/>.</summary>
    internal void FilterKeys(EscapeFilter escape)
    {
        _parts.Serial?.FilterKeys(escape);
        _parts.Console?.FilterKeys(escape);
    }

    /// <summary>The terminal of the console may have another size now. From any thread.</summary>
    internal void TerminalResized()
    {
        if (_parts.Console?.TerminalSize is { } size) _parts.ConsoleDevice!.Resize(size.Columns, size.Rows);
    }

    /// <summary>Called once when the machine begins to end, on whatever thread ends it; set before
    /// <see cref="Run"/>.</summary>
    internal Action? Ending { private get; set; }

    /// <summary>Called on the thread of <see cref="Run"/> when all vCPUs have left the guest and their devices.</summary>
    internal Action? Left { private get; set; }

    private void KickAll()
    {
        Ending?.Invoke();
        foreach (Vcpu vcpu in _parts.Vcpus) vcpu.Kick();
        _parts.Hotplug?.End();
    }

    /// <summary>Stops the guest if it runs, waits until <see cref="Run"/> has left it, and gives everything back: threads, descriptors, memory.</summary>
    public void Dispose()
    {
        Stop("disposed");
        lock (_changing)
        lock (_running)
        {
            if (_disposed) return;
            _disposed = true;
            foreach (Vcpu vcpu in _parts.Vcpus) vcpu.Join();
            _parts.Hotplug?.Join();
            _parts.Owned.Dispose();
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }
}
