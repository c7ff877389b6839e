namespace MicroVm.Events;

/// <summary>Output of the guest for a reader in this program, which takes it when it likes, also after the
/// end.</summary>
/// <param name="arrived">Told, on the queue's thread, when there is something to take.</param>
/// <param name="name">Name of the thread.</param>
/// <param name="owner">Hears if the thread fails.</param>
internal sealed class OutputQueue(Action arrived, string name, IThreadOwner owner) : BufferedOutput(name, DefaultCapacity, owner)
{
    private protected override bool KeepsRest => true;

    /// <summary>Takes the oldest bytes; answers how many, 0 if there are none now.</summary>
    internal int Take(Span<byte> into) => Take(into, inHand: false);

    /// <summary>The reader takes nothing any more.</summary>
    internal void Close() => Abandon();

    /// <inheritdoc/>
    internal override long Push()
    {
        _ = base.Push();
        return 0;
    }

    private protected override void HandOn()
    {
        // First: what comes from here on is told anew.
        Rest();
        arrived();
    }
}
