using System.Text;

namespace MicroVm.Cli;

/// <summary>Standard error as a <see cref="TextWriter"/>, for traces. Not buffered: whoever writes many lines hands over many at once.</summary>
internal sealed class ErrorWriter : TextWriter
{
    /// <inheritdoc/>
    public override Encoding Encoding => Encoding.UTF8;

    /// <inheritdoc/>
    public override void Write(char value) => Output.Error(value.ToString());

    /// <inheritdoc/>
    public override void Write(string? value) => Output.Error(value ?? "");

    /// <inheritdoc/>
    public override void Write(char[] buffer, int index, int count) => Output.Error(new string(buffer, index, count));

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<char> buffer) => Output.Error(new string(buffer));
}
