namespace MicroVm.Cli.Arguments;

/// <summary>What the flags and the configuration file of <c>microvm run</c> said; null where they said nothing.</summary>
internal sealed class RunSettings
{
    internal string? Kernel { get; set; }
    internal string? Initrd { get; set; }
    internal string? CommandLine { get; set; }
    internal int? Cpus { get; set; }
    internal int? PossibleCpus { get; set; }
    internal ulong? MemoryBytes { get; set; }
    internal ulong? PossibleMemoryBytes { get; set; }
    internal List<VirtioOptions> Virtio { get; } = [];
    internal bool Rng { get; set; }
    internal VirtioTransport? RngTransport { get; set; }
    internal VirtioTransport? ConsoleTransport { get; set; }
    internal VirtioTransport Transport { get; set; }
    internal bool Pci { get; set; }
    internal int PciRootPorts { get; set; }
    internal List<string> Devices { get; } = [];
    internal bool DevicesFromFile { get; set; }
    internal bool UnsafeInterrupts { get; set; }
    internal bool Iommu { get; set; }
    internal bool Nested { get; set; }
    internal ConsoleEndpoint? Serial { get; set; }
    internal ConsoleEndpoint? Console { get; set; }
    internal List<ConsolePortOptions> Ports { get; } = [];
    internal string[]? Trace { get; set; }
    internal string? Timeline { get; set; }
    internal string? Socket { get; set; }
    internal string? Name { get; set; }
    internal string? Config { get; set; }

    // Kinds of devices that the configuration file gave: a flag of the kind replaces them.
    private readonly List<Type> _kindsFromFile = [];
    private bool _portsFromFile;

    /// <summary>One more named port; flags take the place of those of the configuration.</summary>
    internal void AddPort(ConsolePortOptions port, OptionValue value)
    {
        if (_portsFromFile && !value.FromFile) Ports.Clear();
        _portsFromFile = value.FromFile;
        Ports.Add(port);
    }

    /// <summary>One more device of a kind.</summary>
    internal void Add(VirtioOptions device, OptionValue value)
    {
        Type kind = device.GetType();
        if (value.FromFile) _kindsFromFile.Add(kind);
        else if (_kindsFromFile.RemoveAll(k => k == kind) > 0) _ = Virtio.RemoveAll(d => d.GetType() == kind);
        Virtio.Add(device);
    }

    /// <summary>The only device of a kind: the last one given.</summary>
    internal void Set(VirtioOptions device, OptionValue value)
    {
        _ = Virtio.RemoveAll(d => d.GetType() == device.GetType());
        Add(device, value);
    }

    /// <summary>What the machine is called, or null.</summary>
    internal string? MachineName => Name is null ? null : Control.ControlPath.NameOf(Name);

    /// <summary>The guest's console reads standard input.</summary>
    internal bool UsesTerminal => SerialOrDefault == ConsoleEndpoint.StandardIo || Console == ConsoleEndpoint.StandardIo;

    private ConsoleEndpoint SerialOrDefault => Serial ?? (Console == ConsoleEndpoint.StandardIo ? ConsoleEndpoint.None : ConsoleEndpoint.StandardIo);

    /// <summary>The machine that was asked for.</summary>
    /// <exception cref="MicroVmException">There is no kernel, two devices want standard input, or the control socket has two places.</exception>
    internal MachineOptions ToOptions()
    {
        if (Kernel is null) throw MicroVmException.Usage(
            "no kernel was given", "--kernel", "Use --kernel FILE, for example /boot/vmlinuz");
        if (Serial == ConsoleEndpoint.StandardIo && Console == ConsoleEndpoint.StandardIo)
        {
            throw MicroVmException.Usage("two devices cannot share standard input", "--serial stdio --console stdio",
                "Set one of them to none or file=F");
        }
        if (Name is not null && Socket is not null)
            throw MicroVmException.Usage("two places for one control socket", "--name and --api-socket",
            "Use one of them");
        MachineOptions options = new()
        {
            Name = MachineName,
            Kernel = Kernel,
            Initrd = Initrd,
            Virtio = Rng ? [.. Virtio, new RngOptions { Transport = RngTransport }] : Virtio,
            ConsoleTransport = ConsoleTransport,
            Transport = Transport,
            Pci = Pci,
            PossibleCpus = PossibleCpus,
            PossibleMemoryBytes = PossibleMemoryBytes,
            PciRootPorts = PciRootPorts,
            Devices = Devices,
            UnsafeInterrupts = UnsafeInterrupts,
            Iommu = Iommu, Nested = Nested,
            Serial = SerialOrDefault,
            Console = Console ?? ConsoleEndpoint.None,
            Ports = Ports,
            Trace = Trace is null ? null : new TraceOptions(Trace, new ErrorWriter()),
        };
        if (options.Serial == ConsoleEndpoint.None && options.Console != ConsoleEndpoint.None) options = options with { CommandLine = RunOptions.ConsoleCommandLine };
        if (CommandLine is { } line) options = options with { CommandLine = line };
        if (Cpus is { } cpus) options = options with { Cpus = cpus };
        if (MemoryBytes is { } bytes) options = options with { MemoryBytes = bytes };
        return options;
    }
}
