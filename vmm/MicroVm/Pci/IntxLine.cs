using MicroVm.Events;
using MicroVm.Interrupts;

namespace MicroVm.Pci;

/// <summary>A function that may hold the line up.</summary>
internal interface IIntxSource
{
    /// <summary>The guest ended an interrupt of the line; a source that still has a cause signals again. On the vCPU that ended it.</summary>
    void LineEnded();
}

/// <summary>The level-triggered line behind pin A of all functions. Its level is nowhere: a signal goes up with a new cause, and again at the end of an interrupt while a cause is left (docs/decisions/0060).</summary>
/// <param name="line">The pin of the I/O APIC.</param>
internal sealed class IntxLine(InterruptLine line)
{
    private readonly Lock _lock = new();
    private IIntxSource[] _sources = [];

    /// <summary>The pin's number.</summary>
    internal uint Gsi => line.Gsi;

    /// <summary>What raises it.</summary>
    internal EventFd Event => line.Event;

    /// <summary>A source has a new cause. From any thread.</summary>
    internal void Raise() => line.Raise();

    internal void Add(IIntxSource source)
    {
        lock (_lock) _sources = [.. _sources, source];
    }

    internal void Remove(IIntxSource source)
    {
        lock (_lock) _sources = Array.FindAll(_sources, s => s != source);
    }

    /// <summary>The guest ended an interrupt of a level-triggered pin.</summary>
    internal void Ended(int pin)
    {
        if (pin != (int)line.Gsi) return;
        foreach (IIntxSource source in Volatile.Read(ref _sources)) source.LineEnded();
    }
}
