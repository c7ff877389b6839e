namespace MicroVm.Events;

/// <summary>What a person asked the monitor for, not the guest.</summary>
internal enum EscapeCommand
{
    /// <summary>Ctrl-A x: end the machine.</summary>
    Quit,
    /// <summary>Ctrl-A h: print which keys there are.</summary>
    Help,
}

/// <summary>Takes the monitor's key sequences out of what is typed on a terminal in raw mode; Ctrl-A twice sends one Ctrl-A, any other key after Ctrl-A sends nothing.</summary>
/// <param name="onCommand">Called on the thread that filters.</param>
internal sealed class EscapeFilter(Action<EscapeCommand> onCommand)
{
    /// <summary>Ctrl-A, QEMU's key too.</summary>
    internal const byte EscapeKey = 1;

    private bool _escaped;

    /// <summary>Removes the sequences from <paramref name="bytes"/> in place; one may be cut by the end of a call and go on in the next.</summary>
    /// <returns>How many bytes at the front are for the guest.</returns>
    internal int Filter(Span<byte> bytes)
    {
        int kept = 0;
        foreach (byte b in bytes)
        {
            if (_escaped)
            {
                _escaped = false;
                if (b == EscapeKey) bytes[kept++] = b;
                else Command(b);
            }
            else if (b == EscapeKey) _escaped = true;
            else bytes[kept++] = b;
        }
        return kept;
    }

    private void Command(byte key)
    {
        switch (key)
        {
            case (byte)'x' or (byte)'X': onCommand(EscapeCommand.Quit); break;
            case (byte)'h' or (byte)'H' or (byte)'?': onCommand(EscapeCommand.Help); break;
        }
    }
}
