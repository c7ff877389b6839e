using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Memory;
using MicroVm.Snapshot;

namespace MicroVm.Pci;

/// <summary>Hears what the guest does with a function's vectors; an assigned device uses it to take host vectors lazily. Called under the table's gate, on a vCPU.</summary>
internal interface IMsixObserver
{
    /// <summary>MSI-X was switched on; no vector is in use yet.</summary>
    void Enabled();

    /// <summary>The vector is unmasked for the first time since <see cref="Disabled"/>: from now on its event counts.</summary>
    void VectorUsed(int vector, EventFd signal);

    /// <summary>The host has no event or no route for a vector that the guest unmasked: it stays silent.</summary>
    void VectorRefused(int vector, string why);

    /// <summary>MSI-X was switched off.</summary>
    void Disabled();
}

/// <summary>The MSI-X table of a function (PCI Express 5.0, 7.7.2), over irqfds alone.</summary>
/// <remarks>A vector's event is connected to KVM while the vector is unmasked, MSI-X is enabled, the function is not masked and may master the bus. Otherwise it only counts, which is the
/// pending bit, and connecting it delivers once. A GSI is taken when the driver assigns a vector (
/// <see cref="TryTake"/>), or, where an <see cref="Observer"/> is, first unmasks it. Table accesses are 4 or 8 bytes,
/// aligned; others do nothing.</remarks>
internal sealed class MsixTable : IRegisterBlock, IDisposable
{
    private readonly InterruptRouter _router;
    private readonly MsixEntry[] _entries;
    private readonly InterruptLine?[] _lines;
    private readonly bool[] _announced;
    private bool _enabled, _functionMask, _busMaster;

    /// <param name="vectors">1 to 2048.</param>
    /// <param name="router">Takes the messages.</param>
    /// <param name="page">Where the guest reads the table; it must hold all of it.</param>
    internal MsixTable(int vectors, InterruptRouter router, ResidentPage page)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)(vectors - 1), (uint)MsixConst.MaxVectors - 1, nameof(vectors));
        _router = router;
        _entries = new MsixEntry[vectors];
        _lines = new InterruptLine?[vectors];
        _announced = new bool[vectors];
        for (int i = 0; i < vectors; i++) _entries[i] = new MsixEntry(page.Slice((uint)i * MsixEntry.Size, (int)MsixEntry.Size));
        Info = MsixEntry.Catalog with
        {
            Name = "MsixTable",
            Size = (uint)vectors * MsixEntry.Size,
            SnapshotTag = null,
            Registers = Array.ConvertAll(MsixEntry.Catalog.Registers, r => r with { Count = (uint)vectors, Stride = MsixEntry.Size }),
        };
    }

    /// <summary>Told of vectors that come into use; set before the guest runs.</summary>
    internal IMsixObserver? Observer { private get; init; }

    /// <summary>Vectors.</summary>
    internal int Count => _entries.Length;

    /// <summary>MSI-X is switched on: interrupts go this way and not over INTx.</summary>
    internal bool Enabled => Volatile.Read(ref _enabled);

    /// <inheritdoc/>
    public Lock Gate { get; } = new();

    /// <inheritdoc/>
    public BlockInfo Info { get; }

    /// <summary>The entries, for snapshots and <c>explain</c>.</summary>
    internal ReadOnlySpan<MsixEntry> Entries => _entries;

    /// <summary>The GSI of a vector, or null while it has none.</summary>
    internal uint? Gsi(int vector) => Volatile.Read(ref _lines[vector])?.Gsi;

    /// <summary>Takes what a vector needs of the host, so that signalling it never fails; nothing happens if it has it.
    /// Not under a lock that a device's thread takes.</summary>
    /// <returns>False if the number is not a vector's, <see cref="MsixConst.NoVector"/> among them, or the host has
    /// no event or no route for it (PCI, Virtio 1.2, 4.1.5.1.2: the driver reads back that it has none).</returns>
    internal bool TryTake(int vector)
    {
        if ((uint)vector >= (uint)_lines.Length) return false;
        if (Volatile.Read(ref _lines[vector]) is not null) return true;
        lock (Gate)
        {
            try
            {
                _ = Line(vector);
            }
            catch (MicroVmException)
            {
                return false;
            }
            Apply(vector);
            _router.Flush();
            return true;
        }
    }

    /// <summary>Signals a vector, from any thread. What was not taken is not heard.</summary>
    internal void Raise(int vector)
    {
        if ((uint)vector < (uint)_lines.Length) Volatile.Read(ref _lines[vector])?.Raise();
    }

    /// <summary>The event of a vector that was taken, for those who signal it from elsewhere, vhost or VFIO; else
    /// null.</summary>
    internal EventFd? Event(int vector) => (uint)vector < (uint)_lines.Length
        ? Volatile.Read(ref _lines[vector])?.Hand() : null;

    /// <summary>The vector was signalled and the guest has not been told.</summary>
    internal bool IsPending(int vector) => Volatile.Read(ref _lines[vector]) is { } line && !_router.Look(line.Gsi).Connected && line.Event.IsSignalled;

    /// <summary>Forgets pending signals: the device was reset.</summary>
    internal void ClearPending()
    {
        lock (Gate)
        {
            foreach (InterruptLine? line in _lines)
            {
                if (line is not null && !_router.Look(line.Gsi).Connected) line.Event.Drain();
            }
        }
    }

    /// <summary>The function's switches in its MSI-X capability.</summary>
    internal void Switch(bool enabled, bool functionMask)
    {
        lock (Gate)
        {
            bool began = enabled && !_enabled, ended = _enabled && !enabled;
            Volatile.Write(ref _enabled, enabled);
            _functionMask = functionMask;
            if (began) Observer?.Enabled();
            if (ended)
            {
                Array.Clear(_announced);
                Observer?.Disabled();
            }
            ApplyAll();
        }
    }

    /// <summary>The function's bus master switch: messages are writes to memory.</summary>
    internal void SwitchBusMaster(bool on)
    {
        lock (Gate)
        {
            if (_busMaster == on) return;
            _busMaster = on;
            ApplyAll();
        }
    }

    /// <summary>Entries as after a reset, nothing pending.</summary>
    internal void Reset()
    {
        lock (Gate)
        {
            foreach (MsixEntry entry in _entries) entry.ResetRegisters();
            Switch(enabled: false, functionMask: false);
            ClearPending();
        }
    }

    /// <inheritdoc/>
    public IoStatus Read(uint offset, int width, out ulong value)
    {
        value = 0;
        if (width is not (4 or 8) || offset % (uint)width != 0) return IoStatus.BadWidth;
        if (offset >= Info.Size) return IoStatus.NoRegister;
        MsixEntry entry = _entries[offset / MsixEntry.Size];
        uint at = offset % MsixEntry.Size;
        IoStatus status = entry.Read(at, 4, out value);
        if (width == 4 || status != IoStatus.Ok) return status;
        status = entry.Read(at + 4, 4, out ulong high);
        value |= high << 32;
        return status;
    }

    /// <inheritdoc/>
    public IoStatus Write(uint offset, int width, ulong value)
    {
        if (width is not (4 or 8) || offset % (uint)width != 0) return IoStatus.BadWidth;
        if (offset >= Info.Size) return IoStatus.NoRegister;
        int index = (int)(offset / MsixEntry.Size);
        uint at = offset % MsixEntry.Size;
        IoStatus status = _entries[index].Write(at, 4, (uint)value);
        if (width == 8) status = _entries[index].Write(at + 4, 4, value >> 32);
        if (_entries[index].Touched)
        {
            Apply(index);
            _router.Flush();
        }
        return status;
    }

    /// <summary>State is saved entry by entry: see <see cref="Entries"/>.</summary>
    public void Save(ref SnapshotWriter writer) { }

    /// <summary>State is loaded entry by entry: see <see cref="Entries"/>.</summary>
    public void Load(ref SnapshotReader reader) { }

    /// <summary>Gives the GSIs back. The device signals nothing any more.</summary>
    public void Dispose()
    {
        for (int i = 0; i < _lines.Length; i++)
        {
            if (Interlocked.Exchange(ref _lines[i], null) is { } line) _router.Release(line);
        }
    }

    private void ApplyAll()
    {
        for (int i = 0; i < _entries.Length; i++) Apply(i);
        _router.Flush();
    }

    private void Apply(int index)
    {
        MsixEntry entry = _entries[index];
        entry.Touched = false;
        bool masked = entry.Masked || _functionMask || !_enabled || !_busMaster;
        if (Volatile.Read(ref _lines[index]) is null && (masked || Observer is null || !TryUse(index))) return;
        InterruptLine line = _lines[index]!;
        _router.Set(line.Gsi, entry.Message, masked);
        if (masked || _announced[index]) return;
        _announced[index] = true;
        Observer?.VectorUsed(index, line.Event);
    }

    private bool TryUse(int vector)
    {
        try
        {
            _ = Line(vector);
            return true;
        }
        catch (MicroVmException e)
        {
            Observer!.VectorRefused(vector, e.Message);
            return false;
        }
    }

    // Under the gate.
    private InterruptLine Line(int vector)
    {
        if (_lines[vector] is { } line) return line;
        line = _router.Allocate();
        Volatile.Write(ref _lines[vector], line);
        return line;
    }
}
