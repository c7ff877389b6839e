using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Snapshot;

namespace MicroVm.Pci;

/// <summary>One PCI function: a configuration space put together of declared blocks, and BARs. Emulated, virtio and assigned functions all derive from it (docs/pci.md).</summary>
/// <remarks>The guest reads the configuration space from its resident page; only writes come here, one at a time under <see cref="Gate"/>.
/// Lock order: gate of the function, gate of a block in one of its BARs, <see cref="PciRoot"/>'s lock, the router's.</remarks>
internal abstract class PciFunction : IRegisterBlock, IDisposable
{
    private static readonly uint s_bars = Array.Find(PciHeader0.Catalog.Registers, static r => r.Name == "Bar")!.Offset;

    private readonly List<(uint Offset, IRegisterBlock Block)> _parts = [];
    private readonly List<PciBar> _bars = [];
    private IPciHeader? _header;
    private byte _first;
    private uint _free = PciConst.FirstCapability;
    private BlockInfo? _info;

    /// <param name="address">Who it is.</param>
    /// <param name="page">Its configuration space: a page of <see cref="EcamArea"/>, or one of its own in tests.</param>
    protected PciFunction(PciAddress address, ResidentPage page) => (Address, Page) = (address, page);

    /// <summary>Name in messages.</summary>
    internal abstract string Name { get; }

    internal PciAddress Address { get; }

    /// <summary>What the guest reads.</summary>
    internal ResidentPage Page { get; }

    internal IReadOnlyList<PciBar> Bars => _bars;

    /// <summary>Header and capabilities with their offsets, for snapshots and <c>explain</c>.</summary>
    internal IReadOnlyList<(uint Offset, IRegisterBlock Block)> Parts => _parts;

    internal IPciHeader Header => _header ?? throw new InvalidOperationException("no header yet");

    /// <summary>What the guest still reads where its BARs were is 0 and not ones (docs/decisions/0083).</summary>
    internal virtual bool ReadsZerosWhenGone => false;

    /// <summary>The root that it is plugged into, which is told when its BARs move; null before.</summary>
    internal PciRoot? Root { get; set; }

    /// <inheritdoc/>
    public Lock Gate { get; } = new();

    /// <inheritdoc/>
    public BlockInfo Info => _info ??= Describe();

    /// <summary>Takes the header; capabilities and BARs come after it.</summary>
    protected T SetHeader<T>(T header) where T : IPciHeader
    {
        _header = header;
        _parts.Add((0, header));
        return header;
    }

    /// <summary>Puts a capability at the head of the list: what follows it never changes.</summary>
    /// <param name="size">Bytes, as its declaration says.</param>
    /// <param name="make">Makes it where it stands.</param>
    protected T AddCapability<T>(uint size, Func<CapabilityPlace, T> make) where T : IPciCapability
    {
        uint at = _free;
        _free += (size + 3) & ~3u;
        return AddCapabilityAt(at, size, make);
    }

    /// <summary>The same for one that stands at an offset of its own choice: where the hardware of an assigned function has it.</summary>
    protected T AddCapabilityAt<T>(uint at, uint size, Func<CapabilityPlace, T> make) where T : IPciCapability
    {
        T capability = make(new CapabilityPlace(_first, Page.Slice(at, (int)size)));
        _parts.Add((at, capability));
        Header.FirstCapability = _first = (byte)at;
        return capability;
    }

    /// <summary>Adds a BAR.</summary>
    protected void AddBar(PciBar bar)
    {
        ((PciHeader0)Header).Describe(bar);
        _bars.Add(bar);
    }

    /// <summary>Where a BAR's registers say that it is; null while they hold no address.</summary>
    internal ulong? Programmed(PciBar bar) => ((PciHeader0)Header).Programmed(bar);

    /// <summary>Puts a BAR somewhere before the guest runs.</summary>
    internal void Program(PciBar bar, ulong address) => ((PciHeader0)Header).Program(bar, address);

    /// <inheritdoc/>
    public IoStatus Read(uint offset, int width, out ulong value)
    {
        value = 0;
        if (!Legal(offset, width)) return IoStatus.BadWidth;
        value = width switch { 1 => Page.Load<byte>(offset), 2 => Page.Load<ushort>(offset), 4 => Page.Load<uint>(offset), _ => Page.Load<ulong>(offset) };
        return IoStatus.Ok;
    }

    /// <inheritdoc/>
    public IoStatus Write(uint offset, int width, ulong value)
    {
        if (!Legal(offset, width)) return IoStatus.BadWidth;
        if (width == 8)
        {
            WriteDword(offset, 4, (uint)value);
            WriteDword(offset + 4, 4, value >> 32);
        }
        else WriteDword(offset, width, value);
        if (Header.TakeChanged()) DecodeChanged();
        Written();
        return IoStatus.Ok;
    }

    /// <summary>The guest has written something, and its effect on this side has been had. Under the gate.</summary>
    protected virtual void Written() { }

    /// <summary>The guest switched decoding or bus mastering, or moved something. Under the gate.</summary>
    protected virtual void DecodeChanged() => Root?.Update();

    /// <summary>The configuration space is about to go: nothing of the device's may be shown in it any more. From a thread that is no vCPU's.</summary>
    internal virtual void Unplugged() { }

    /// <summary>Resets the function as a secondary bus reset does. Under the gate.</summary>
    internal virtual void Reset()
    {
        Header.Reset();
        foreach ((_, IRegisterBlock part) in _parts) (part as IPciCapability)?.Reset();
        _ = Header.TakeChanged();
        DecodeChanged();
    }

    /// <summary>State is saved part by part: see <see cref="Parts"/>.</summary>
    public void Save(ref SnapshotWriter writer) { }

    /// <summary>State is loaded part by part: see <see cref="Parts"/>.</summary>
    public void Load(ref SnapshotReader reader) { }

    public virtual void Dispose() { }

    // An access never crosses a dword, and parts begin and end at dwords; 8 bytes are two dwords. What no register takes is ignored, as PCI has it.
    private void WriteDword(uint offset, int width, ulong value)
    {
        foreach ((uint start, IRegisterBlock block) in _parts)
        {
            if (offset - start < block.Info.Size)
            {
                _ = block.Write(offset - start, width, value);
                if (width < 4 && block is PciHeader0 header && offset - s_bars < PciConst.Bars * sizeof(uint)) header.WrittenInPart((int)(offset - s_bars) / sizeof(uint));
                return;
            }
        }
    }

    private static bool Legal(uint offset, int width) => width is 1 or 2 or 4 or 8 && offset % (uint)width == 0;

    // One declaration of all parts, so that a trace names their registers.
    private BlockInfo Describe()
    {
        List<RegisterInfo> registers = [];
        foreach ((uint offset, IRegisterBlock part) in _parts)
        {
            foreach (RegisterInfo r in part.Info.Registers)
            {
                registers.Add(r with { Name = part.Info.Name + "." + r.Name, Offset = r.Offset + offset, HighHalf = r.HighHalf < 0 ? -1 : r.HighHalf + (int)offset });
            }
        }
        return new BlockInfo("PciFunction", "devices.def/pci_config.def", PciConst.FunctionSize, AccessRule.Any, 0, PciConst.FunctionSize, false, null, 0, [.. registers]);
    }
}
